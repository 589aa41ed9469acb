"""MaskedModulation kernels for moments, their merge, and the affine map.

The operator takes three launches. README.md describes grids, layouts and the derivation. Tests run the kernels in
Triton's interpreter and compile them ahead of time; the tests marked `gpu` ran them on one GPU, an H100
(docs/results/gpu.md).
"""

import triton
import triton.language as tl

from ..layouts import load_channels, locate, store_channels


@triton.jit
def store_moments(p_row, b_x, m_x, m_c):
    """Store count, mean and squared distances of C channels.

    The moments are over the pixels `m_x` [P,1] of `b_x` [P,C]; the squared distances from the mean are summed. `p_row`
    receives three numbers for each channel.
    """
    count = tl.sum(tl.where(m_x, 1.0, 0.0), 0)  # [1]
    b_mean = tl.sum(tl.where(m_x, b_x, 0.0), 0) / tl.maximum(count, 1.0)
    b_centred = tl.where(m_x, b_x - b_mean[None, :], 0.0)
    tl.store(p_row, count + tl.zeros_like(b_mean), mask=m_c)
    tl.store(p_row + 1, b_mean, mask=m_c)
    tl.store(p_row + 2, tl.sum(b_centred * b_centred, 0), mask=m_c)


@triton.jit
def masked_moments(
    p_x,
    p_mask,
    p_partial,
    pixels,
    channels,
    x_pitch,
    blocks,
    IN: tl.constexpr,  # noqa: N803
    BP: tl.constexpr,  # noqa: N803
    BC: tl.constexpr,  # noqa: N803
):
    """Compute moments of one block's clean and distorted pixels.

    The grid is (blocks, ceil(channels / BC), N).

    Args:
        p_x: fp32 or fp16, layout IN.
        p_mask: fp32 or fp16 [N, pixels]; a pixel is distorted where it is not 0.
        p_partial: fp32 [N, channels, blocks, 6]: count, mean and sum of squared distances of the clean pixels, then of
            the distorted ones.
        pixels: number of pixels of an image.
        channels: number of channels of x.
        x_pitch: pitch of x, see `layouts`.
        blocks: ceil(pixels / BP).
        BP: pixels of a program, a power of two.
        BC: channels of a program, a power of two.
    """
    i_b, i_n = tl.program_id(0), tl.program_id(2)
    o_p = i_b * BP + tl.arange(0, BP)
    o_c = tl.program_id(1) * BC + tl.arange(0, BC)
    m_p = o_p < pixels
    b_mask = tl.load(p_mask + i_n.to(tl.int64) * pixels + o_p, mask=m_p, other=0)  # [BP]
    offsets = locate(i_n, o_p[:, None], o_c[None, :], pixels, channels, x_pitch, IN)
    b_x = load_channels(p_x, offsets, m_p[:, None], o_c[None, :], channels, x_pitch, IN).to(tl.float32)  # [BP, BC]
    p_row = p_partial + ((i_n.to(tl.int64) * channels + o_c) * blocks + i_b) * 6
    store_moments(p_row, b_x, (m_p & (b_mask == 0))[:, None], o_c < channels)
    store_moments(p_row + 3, b_x, (m_p & (b_mask != 0))[:, None], o_c < channels)


@triton.jit
def merge_blocks(p_row, o_b, blocks, count, mean, squares):
    """Fold the moments of BLOCK blocks into running ones.

    The formula is that of Chan, Golub and LeVeque (1979), applied to BLOCK blocks at once.
    """
    m_b = o_b < blocks
    b_count = tl.load(p_row + o_b * 6, mask=m_b, other=0)  # [BLOCK]
    b_mean = tl.load(p_row + o_b * 6 + 1, mask=m_b, other=0)  # [BLOCK]
    b_squares = tl.load(p_row + o_b * 6 + 2, mask=m_b, other=0)  # [BLOCK]
    chunk = tl.sum(b_count, 0)
    merged = tl.maximum(count + chunk, 1.0)
    next_mean = mean + tl.sum(b_count * (b_mean - mean), 0) / merged
    b_spread = b_mean - next_mean
    squares += tl.sum(b_squares + b_count * b_spread * b_spread, 0)
    squares += count * (next_mean - mean) * (next_mean - mean)
    return count + chunk, next_mean, squares


@triton.jit
def merge_moments(p_partial, p_affine, blocks, channels, eps, BLOCK: tl.constexpr):  # noqa: N803
    """Compute scale and shift of one channel of one image.

    The grid is (channels, N).

    Args:
        p_partial: moments that `masked_moments` wrote.
        p_affine: fp32 [N, channels, 2]: scale and shift; 1 and 0 where an image lacks clean or distorted pixels.
        blocks: number of blocks, see `masked_moments`.
        channels: number of channels of x.
        eps: number added to both variances.
        BLOCK: blocks merged at a time, a power of two.
    """
    i_row = tl.program_id(1).to(tl.int64) * channels + tl.program_id(0)
    p_row = p_partial + i_row * blocks * 6
    count0, mean0, squares0 = 0.0, 0.0, 0.0
    count1, mean1, squares1 = 0.0, 0.0, 0.0
    for i_b in range(0, blocks, BLOCK):
        o_b = i_b + tl.arange(0, BLOCK)
        count0, mean0, squares0 = merge_blocks(p_row, o_b, blocks, count0, mean0, squares0)
        count1, mean1, squares1 = merge_blocks(p_row + 3, o_b, blocks, count1, mean1, squares1)
    variance0 = squares0 / tl.maximum(count0, 1.0)
    variance1 = squares1 / tl.maximum(count1, 1.0)
    both = (count0 > 0) & (count1 > 0)
    scale = tl.sqrt((variance0 + eps) / (variance1 + eps))
    tl.store(p_affine + i_row * 2, tl.where(both, scale, 1.0))
    tl.store(p_affine + i_row * 2 + 1, tl.where(both, mean0 - mean1 * scale, 0.0))


@triton.jit
def apply_affine(
    p_x,
    p_mask,
    p_affine,
    p_out,
    pixels,
    channels,
    x_pitch,
    out_pitch,
    IN: tl.constexpr,  # noqa: N803
    OUT: tl.constexpr,  # noqa: N803
    BP: tl.constexpr,  # noqa: N803
    BC: tl.constexpr,  # noqa: N803
):
    """Scale and shift distorted pixels, and copy clean ones.

    Distorted pixels become `x * scale + shift`; clean ones stay x bit for bit. The grid is (ceil(pixels / BP),
    ceil(channels / BC), N).

    Args:
        p_x: fp32 or fp16, layout IN.
        p_mask: fp32 or fp16 [N, pixels].
        p_affine: scale and shift that `merge_moments` wrote.
        p_out: type of x, layout OUT; every pixel is written.
        pixels: number of pixels of an image.
        channels: number of channels of x.
        x_pitch: pitch of x, see `layouts`.
        out_pitch: pitch of the output.
        BP: pixels of a program, a power of two.
        BC: channels of a program, a power of two from 8.
    """
    i_n = tl.program_id(2)
    o_p = tl.program_id(0) * BP + tl.arange(0, BP)
    o_c = tl.program_id(1) * BC + tl.arange(0, BC)
    m_p, m_c = o_p < pixels, o_c < channels
    b_mask = tl.load(p_mask + i_n.to(tl.int64) * pixels + o_p, mask=m_p, other=0) != 0  # [BP]
    offsets = locate(i_n, o_p[:, None], o_c[None, :], pixels, channels, x_pitch, IN)
    b_x = load_channels(p_x, offsets, m_p[:, None], o_c[None, :], channels, x_pitch, IN)  # [BP, BC]
    o_affine = (i_n * channels + o_c) * 2
    b_scale = tl.load(p_affine + o_affine, mask=m_c, other=1)  # [BC]
    b_shift = tl.load(p_affine + o_affine + 1, mask=m_c, other=0)  # [BC]
    b_moved = (b_x.to(tl.float32) * b_scale[None, :] + b_shift[None, :]).to(p_x.dtype.element_ty)
    b_out = tl.where(b_mask[:, None], b_moved, b_x)
    offsets = locate(i_n, o_p[:, None], o_c[None, :], pixels, channels, out_pitch, OUT)
    store_channels(p_out, offsets, b_out, m_p[:, None], o_c[None, :], channels, out_pitch, OUT)
