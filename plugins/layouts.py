"""Memory layouts of activations that the kernels read and write.

The names are close to TensorRT's. An element (n, c, p) has the pixel p = y * width + x.

| constant | TensorRT | offset of the element (n, c, p) |
|---|---|---|
| `LINEAR` | kLINEAR | `(n * channels + c) * pixels + p` |
| `PIXELS` | kHWC (pitch = channels), kHWC8 (channels rounded up to 8) | `(n * pixels + p) * pitch + c` |
| `CHW32` | kCHW32, INT8 only | `((n * ceil(channels / 32) + c / 32) * pixels + p) * 32 + c % 32` |

Channels from `channels` up to the pitch are padding. A kernel does not use what it finds there when it reads, and fills
the padding when it writes.
"""

import triton
import triton.language as tl

LINEAR = tl.constexpr(0)
PIXELS = tl.constexpr(1)
CHW32 = tl.constexpr(2)


@triton.constexpr_function
def pitch_of(channels, element):
    """Compute the pitch of PIXELS for constant channels."""
    return (channels + 7) // 8 * 8 if element.name == "fp16" else channels


@triton.jit
def is_inside(o_p, pixels):
    """Tell which numbers are pixels of an image.

    Lists of active pixels may come from another operator, and TensorRT times operators on inputs of its own making: no
    number that stands in a list may lead out of memory.
    """
    return o_p.to(tl.uint32, bitcast=True) < pixels.to(tl.uint32, bitcast=True)


@triton.jit
def locate(i_n, o_p, o_c, pixels, channels, pitch, LAYOUT: tl.constexpr):  # noqa: N803
    """Compute the 64-bit offsets of the elements (n, c, p).

    `o_p` and `o_c` are blocks of pixels and channels that broadcast, [M,1] and [1,C].
    """
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
    """Load the values [M,C] at `offsets`, or zeros.

    Values are zero at pixels outside of `m_p` [M,1] and at channels that do not exist.

    With PIXELS the padding is read as well, so that the reads are 16 bytes wide, and then replaced by zeros, because it
    may hold anything. CHW32 holds integers, whose padding meets zero weights, so nothing is replaced. PADDED says that
    values read with PIXELS become integers before they meet weights: then nothing is replaced either.
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
    """Store a block [M,C] at the pixels of `m_p` [M,1].

    With PIXELS the padding becomes zero.
    """
    block = block.to(p_out.dtype.element_ty)
    if LAYOUT == LINEAR:
        tl.store(p_out + offsets, block, mask=m_p & (o_c < channels))
    else:
        tl.static_assert(LAYOUT == PIXELS, "outputs are LINEAR or PIXELS")
        tl.store(p_out + offsets, tl.where(o_c < channels, block, 0), mask=m_p & (o_c < pitch))
