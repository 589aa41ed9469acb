"""SparseCompose kernel for the restored picture.

README.md describes layouts and cost. Tests run the kernel in Triton's interpreter and compile it ahead of time; no GPU
has run it.
"""

import triton
import triton.language as tl

from ..layouts import LINEAR, load_channels, locate


@triton.jit
def compose_pixels(
    p_picture,
    p_residual,
    p_mask,
    p_out,
    pixels,
    channels,
    added_pitch,
    low,
    high,
    IN: tl.constexpr,  # noqa: N803
    BP: tl.constexpr,  # noqa: N803
    BC: tl.constexpr,  # noqa: N803
):
    """Add the residual to distorted pixels, and copy clean ones.

    The residual is read at distorted pixels alone. The grid is (ceil(pixels / BP), ceil(channels / BC), N).

    Args:
        p_picture: fp32 [N, channels, pixels].
        p_residual: fp32 or fp16, layout IN.
        p_mask: type of the residual, [N, pixels]; a pixel is distorted where it is not 0.
        p_out: fp32 [N, channels, pixels]; every pixel is written.
        pixels: number of pixels of an image.
        channels: number of channels of the picture.
        added_pitch: pitch of the residual, see `layouts`.
        low: least value of a distorted pixel.
        high: largest value of a distorted pixel; NaN stays NaN.
        BP: pixels of a program, a power of two.
        BC: channels of a program, a power of two.
    """
    i_n = tl.program_id(2)
    o_p = tl.program_id(0) * BP + tl.arange(0, BP)
    o_c = (tl.program_id(1) * BC + tl.arange(0, BC))[None, :]
    m_p = o_p < pixels
    b_mask = tl.load(p_mask + i_n.to(tl.int64) * pixels + o_p, mask=m_p, other=0) != 0  # [BP]
    offsets = locate(i_n, o_p[:, None], o_c, pixels, channels, added_pitch, IN)
    b_residual = load_channels(p_residual, offsets, b_mask[:, None], o_c, channels, added_pitch, IN)  # [BP, BC]
    offsets = locate(i_n, o_p[:, None], o_c, pixels, channels, channels, LINEAR)
    m_out = m_p[:, None] & (o_c < channels)
    b_picture = tl.load(p_picture + offsets, mask=m_out, other=0)  # [BP, BC]
    b_moved = b_picture + b_residual.to(tl.float32)
    b_moved = tl.where(b_moved < low, low, b_moved)
    b_moved = tl.where(b_moved > high, high, b_moved)
    tl.store(p_out + offsets, tl.where(b_mask[:, None], b_moved, b_picture), mask=m_out)
