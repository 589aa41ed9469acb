"""How activations lie in memory: the layouts that the kernels read and write, as TensorRT names them.

| constant | TensorRT | element (n, c, p), p = y * width + x |
|---|---|---|
| `LINEAR` | kLINEAR | `(n * channels + c) * pixels + p` |
| `PIXELS` | kHWC (pitch = channels), kHWC8 (channels rounded up to 8) | `(n * pixels + p) * pitch + c` |
| `CHW32` | kCHW32, INT8 only | `((n * ceil(channels / 32) + c / 32) * pixels + p) * 32 + c % 32` |

Channels from `channels` up to the pitch are padding: a kernel neither uses what it finds there nor leaves it unwritten.
"""

import triton
import triton.language as tl

LINEAR = tl.constexpr(0)
PIXELS = tl.constexpr(1)
CHW32 = tl.constexpr(2)


@triton.jit
def locate(i_n, o_p, o_c, pixels, channels, pitch, LAYOUT: tl.constexpr):  # noqa: N803
    """64-bit offsets of the elements (n, c, p): two blocks of pixels and channels that broadcast, [M,1] and [1,C]."""
    if LAYOUT == LINEAR:
        offsets = (i_n.to(tl.int64) * channels + o_c) * pixels + o_p
    elif LAYOUT == PIXELS:
        offsets = (i_n.to(tl.int64) * pixels + o_p) * pitch + o_c
    else:
        offsets = ((i_n.to(tl.int64) * tl.cdiv(channels, 32) + o_c // 32) * pixels + o_p) * 32 + o_c % 32
    return offsets


@triton.jit
def load_channels(
    p_x,
    offsets,
    m_p,
    o_c,
    channels,
    pitch,
    LAYOUT: tl.constexpr,  # noqa: N803
    PADDED: tl.constexpr = False,  # noqa: N803
):
    """Values at `offsets` [M,C] for the pixels of `m_p` [M,1]; zero at other pixels and at channels that do not exist.

    With PIXELS the padding is read as well, so that the reads are 16 bytes wide, and replaced afterwards: it may hold
    anything. CHW32 holds integers, whose padding meets zero weights; where the values become integers before that
    (PADDED), nothing is replaced with PIXELS either.
    """
    if LAYOUT == LINEAR:
        block = tl.load(p_x + offsets, mask=m_p & (o_c < channels), other=0)  # [M, C]
    elif LAYOUT == PIXELS:
        block = tl.load(p_x + offsets, mask=m_p & (o_c < pitch), other=0)  # [M, C]
        if not PADDED:
            block = tl.where(o_c < channels, block, 0)
    else:
        block = tl.load(p_x + offsets, mask=m_p & (o_c < tl.cdiv(channels, 32) * 32), other=0)  # [M, C]
    return block


@triton.jit
def store_channels(p_out, offsets, block, m_p, o_c, channels, pitch, LAYOUT: tl.constexpr):  # noqa: N803
    """Write a block [M,C] at the pixels of `m_p` [M,1]; with PIXELS the padding becomes zero."""
    block = block.to(p_out.dtype.element_ty)
    if LAYOUT == LINEAR:
        tl.store(p_out + offsets, block, mask=m_p & (o_c < channels))
    else:
        tl.static_assert(LAYOUT == PIXELS, "outputs are LINEAR or PIXELS")
        tl.store(p_out + offsets, tl.where(o_c < channels, block, 0), mask=m_p & (o_c < pitch))
