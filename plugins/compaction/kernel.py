"""Mask compaction kernel, which lists a mask's active pixels.

All operators that share the mask share the list. README.md describes grids, layouts and the meaning of the arguments.
Tests run the kernel in Triton's interpreter and compile it ahead of time; the tests marked `gpu` ran it on one GPU, an
H100 (docs/results/gpu.md).
"""

import triton
import triton.language as tl


@triton.jit
def compact_mask(p_mask, p_index, p_count, pixels, BLOCK: tl.constexpr):  # noqa: N803
    """Append one block's active pixels to their image's list.

    The grid is (ceil(pixels / BLOCK), N).

    Args:
        p_mask: fp32 or fp16 [N, pixels]; a pixel is active where it is not 0.
        p_index: i32 [N, pixels]. The first count[n] entries of row n receive the active pixels: ascending inside a
            block, the blocks in any order. The other entries stay as they are.
        p_count: i32 [N], zero before the launch.
        pixels: number of pixels of one image.
        BLOCK: pixels of a program, a power of two.
    """
    i_block, i_n = tl.program_id(0), tl.program_id(1)
    o_p = i_block * BLOCK + tl.arange(0, BLOCK)
    row = i_n.to(tl.int64) * pixels
    b_mask = tl.load(p_mask + row + o_p, mask=o_p < pixels, other=0)  # [BLOCK]
    active = (b_mask != 0).to(tl.int32)
    place = tl.cumsum(active, 0) - active
    first = tl.atomic_add(p_count + i_n, tl.sum(active, 0))
    tl.store(p_index + row + first + place, o_p, mask=active != 0)
