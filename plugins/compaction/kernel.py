"""Mask compaction kernels, which list a mask's active pixels.

All operators that share the mask share the list. README.md describes grids, layouts and the meaning of the arguments.
Tests run the kernels in Triton's interpreter and compile them ahead of time; the tests marked `gpu` ran `compact_mask`
on one GPU, an H100 (docs/results/gpu.md).
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


@triton.jit
def compact_neighbours(
    p_mask,
    p_index,
    p_taps,
    p_count,
    height,
    width,
    dilation,
    clean_input,
    K: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
):
    """Append one block's active pixels and their readable taps.

    A program takes a strip of 8 rows and BLOCK / 8 columns, in squares of 8 x 8 pixels, so that pixels that lie near
    each other in the list share their neighbours. The grid is (ceil(height / 8) * ceil(width / (BLOCK / 8)), N).

    Args:
        p_mask: as for `compact_mask`, as are the index and the count.
        p_index: i32 [N, pixels].
        p_taps: i32 [N, pixels], beside each entry of the index one word: bit `row * K + column` says that the tap lies
            inside the picture and may be read, its pixel being active or `clean_input` not 0. Where K is 3, bit 9 and
            those that follow say that it lies inside, whether its pixel is active or not.
        p_count: i32 [N], zero before the launch.
        height: height of an image in pixels.
        width: width of an image in pixels.
        dilation: distance of taps in pixels.
        clean_input: 1 where taps are read whatever their mask, else 0.
        K: side of the window in taps, 3 or 5: 25 bits at most.
        BLOCK: pixels of a program, a power of two from 64.
    """
    strips = tl.cdiv(width, BLOCK // 8)
    o = tl.arange(0, BLOCK)
    o_y = tl.program_id(0) // strips * 8 + o % 64 // 8
    o_x = tl.program_id(0) % strips * (BLOCK // 8) + o // 64 * 8 + o % 8
    image = tl.program_id(1).to(tl.int64) * height * width
    p_mask += image
    p_index += image
    p_taps += image
    p_count += tl.program_id(1)
    inside = (o_y < height) & (o_x < width)
    o_p = o_y * width + o_x
    b_mask = tl.load(p_mask + o_p, mask=inside, other=0)  # [BLOCK]
    active = b_mask != 0
    number = tl.sum(active.to(tl.int32), 0)
    if number > 0:
        b_taps = tl.zeros((BLOCK,), tl.int32)
        for tap in tl.static_range(K * K):
            o_qy = o_y + (tap // K - K // 2) * dilation
            o_qx = o_x + (tap % K - K // 2) * dilation
            m_q = active & (o_qy >= 0) & (o_qy < height) & (o_qx >= 0) & (o_qx < width)
            b_read = tl.load(p_mask + o_qy * width + o_qx, mask=m_q, other=0)  # [BLOCK]
            b_taps |= (m_q & (b_read + clean_input != 0)).to(tl.int32) << tap
            if K == 3:
                b_taps |= m_q.to(tl.int32) << (tap + 9)
        first = tl.atomic_add(p_count, number)
        before = tl.cumsum(active.to(tl.int32), 0) - active.to(tl.int32)
        tl.store(p_index + first + before, o_p, mask=active)
        tl.store(p_taps + first + before, b_taps, mask=active)
