"""SparseConv2d kernel for one layer's sizes.

A plugin library has it for the layers of the bundle that it was built for; other layers run in the general kernels of
`kernel.py`, which also pack the weights and combine the scales. README.md has the derivation. Tests run the kernel in
Triton's interpreter, compile it ahead of time and count its instructions; no GPU has run it.
"""

import triton
import triton.language as tl

from ..layouts import is_inside, pitch_of
from .kernel import quantize


@triton.jit
def multiply_block(
    b_acc,
    p_rows,
    p_joined_rows,
    p_packed,
    m_q,
    o_d,
    shift,
    first,
    tap,
    pixels,
    x_scale,
    C: tl.constexpr,  # noqa: N803
    D: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
    END: tl.constexpr,  # noqa: N803
    J: tl.constexpr,  # noqa: N803
):
    """Add the products of one tap and one block.

    The block has BLOCK channels from `first` on. `p_rows` [M,1] points to the first channel of each row's own pixel,
    `shift` is the distance of the tap's pixel in pixels. END is where the last of such blocks ends: only beyond C is it
    looked whether channels exist. The last J of the C channels are those of another tensor, `p_joined_rows` [M,1]; the
    number of those before them is a multiple of 8.
    """
    QUANTIZE: tl.constexpr = p_rows.dtype.scalar.element_ty != p_packed.dtype.element_ty  # noqa: N806
    INTEGER: tl.constexpr = p_packed.dtype.element_ty == tl.int8  # noqa: N806
    PLANES: tl.constexpr = p_rows.dtype.scalar.element_ty == tl.int8  # noqa: N806  x lies in planes of 32 channels
    ROWS: tl.constexpr = (C + 31) // 32 * 32 if INTEGER else C  # noqa: N806  of the packed weights
    OWN: tl.constexpr = C - J  # noqa: N806
    OWN_PITCH: tl.constexpr = ROWS if PLANES else pitch_of(OWN, p_rows.dtype.scalar.element_ty)  # noqa: N806
    JOINED_PITCH: tl.constexpr = pitch_of(J, p_rows.dtype.scalar.element_ty)  # noqa: N806
    PITCH: tl.constexpr = OWN_PITCH + JOINED_PITCH if J > 0 else OWN_PITCH  # noqa: N806
    PACKED: tl.constexpr = (D + 15) // 16 * 16  # noqa: N806
    o_c = first + tl.arange(0, BLOCK)
    if PLANES:
        offsets = (o_c // 32).to(tl.int64) * pixels * 32 + o_c % 32 + shift.to(tl.int64) * 32
    else:
        offsets = o_c + shift.to(tl.int64) * OWN_PITCH
    m_x = m_q[:, None]
    if END > OWN_PITCH:
        m_x = m_x & (o_c[None, :] < OWN_PITCH)
    b_x = tl.load(p_rows + offsets[None, :], mask=m_x, other=0, cache_modifier=".ca")  # [BM, BLOCK]
    if J > 0 and END > OWN:
        is_joined = (o_c >= OWN) & (o_c < PITCH)
        joined = o_c - OWN + shift.to(tl.int64) * JOINED_PITCH
        b_joined = tl.load(
            p_joined_rows + joined[None, :], mask=m_q[:, None] & is_joined[None, :], other=0, cache_modifier=".ca"
        )  # [BM, BLOCK]
        b_x = tl.where((o_c < OWN)[None, :], b_x, b_joined)
    if QUANTIZE:
        b_x = quantize(b_x, x_scale)
    elif END > C and PITCH != C and not PLANES:
        b_x = tl.where(o_c[None, :] < C, b_x, 0)  # padding may hold anything
    if INTEGER:
        o_w = (tap * PACKED + o_d[:, None]) * ROWS + o_c[None, :]
        m_w = o_d[:, None] < PACKED
        if END > ROWS:
            m_w = m_w & (o_c[None, :] < ROWS)
        b_w = tl.trans(tl.load(p_packed + o_w, mask=m_w, other=0))  # [BLOCK, BN]
    else:
        o_w = (tap * C + o_c[:, None]) * PACKED + o_d[None, :]
        m_w = o_d[None, :] < PACKED
        if END > C:
            m_w = m_w & (o_c[:, None] < C)
        b_w = tl.load(p_packed + o_w, mask=m_w, other=0)  # [BLOCK, BN]
    return tl.dot(b_x, b_w, b_acc, input_precision="ieee", out_dtype=b_acc.dtype)


@triton.jit
def drop_outside(b_taps, o_p, pixels, width, dilation, K: tl.constexpr):  # noqa: N803
    """Clear the bits of taps that lead out of memory.

    A list that an operator wrote has none of them. A tap may still lie in another row of the picture than it should:
    what it reads is then of no use, but it is there.
    """
    rows = dilation * width
    if K == 3:
        above = tl.where(o_p < rows + dilation, 0b111_111_110, 0b111_111_111)
        above = tl.where(o_p < rows, 0b111_111_000, above)
        above = tl.where(o_p < dilation, 0b111_110_000, above)
        below = tl.where(o_p >= pixels - rows - dilation, 0b011_111_111, 0b111_111_111)
        below = tl.where(o_p >= pixels - rows, 0b000_111_111, below)
        b_taps &= above & tl.where(o_p >= pixels - dilation, 0b000_011_111, below)
    else:
        for tap in tl.static_range(K * K):
            shift = (tap // K - K // 2) * rows + (tap % K - K // 2) * dilation
            b_taps = tl.where(is_inside(o_p + shift, pixels), b_taps, b_taps & ~(1 << tap))
    return b_taps


@triton.jit
def find_coarse(o_p, width, pitch, outputs):
    """Find a pixel's values in a coarse picture.

    A picture of half the size has `outputs` channels for each of the four pixels that its pixel covers, from left to
    right and from top to bottom.
    """
    o_y = o_p // width
    o_x = o_p - o_y * width
    parent = (o_y // 2) * (width // 2) + o_x // 2
    return parent.to(tl.int64) * pitch + (o_y % 2 * 2 + o_x % 2) * outputs


@triton.jit
def load_outputs(p_values, o_d, D: tl.constexpr, BN: tl.constexpr):  # noqa: N803
    """Load one value for each output channel of a tile.

    The result is [BN], zero for channels that do not exist.
    """
    return tl.load(p_values + o_d) if D % BN == 0 else tl.load(p_values + o_d, mask=o_d < D, other=0)  # [BN]


@triton.jit
def convolve_layer(
    p_x,
    p_joined,
    p_taps,
    p_index,
    p_count,
    p_packed,
    p_bias,
    p_x_scale,
    p_scale,
    p_residual,
    p_out,
    p_steps,
    height,
    width,
    dilation,
    first_bit,
    has_residual,
    slope,
    sum_slope,
    out_scale,
    K: tl.constexpr,  # noqa: N803
    C: tl.constexpr,  # noqa: N803
    D: tl.constexpr,  # noqa: N803
    BK: tl.constexpr,  # noqa: N803
    REST: tl.constexpr,  # noqa: N803
    UP: tl.constexpr,  # noqa: N803
    J: tl.constexpr,  # noqa: N803
    GIVE: tl.constexpr,  # noqa: N803
    BM: tl.constexpr,  # noqa: N803
    BN: tl.constexpr,  # noqa: N803
):
    """Compute the active pixels of one layer's output.

    It does what `sparse_conv2d` does, with the layouts PIXELS (INT8 x: CHW32) and the sizes of a layer as constants:
    where taps can be read stands in one word for each active pixel, so the loop has no division, no bounds and no load
    that another load waits for. The grid is (any, ceil(D / BN), N).

    Args:
        p_x: fp32, fp16 or int8, without the last J of C channels.
        p_joined: type of x, [N,J,height,width]: the last J channels; read where J is not 0.
        p_taps: i32 [N, pixels] that `compact_neighbours` wrote for this kernel size; not read where K is 1.
        p_index: i32 [N, pixels] that it or `compact_mask` wrote. Whatever the three lists hold, nothing outside of the
            arrays is read or written.
        p_count: i32 [N], likewise.
        p_packed: as for `sparse_conv2d`, as are the bias, the scales and the residual.
        p_bias: [D].
        p_x_scale: fp32 [1].
        p_scale: fp32 [D].
        p_residual: type and layout of the output.
        p_out: type of x (fp32 or fp16 with int8 x), layout PIXELS; not written where GIVE is 1.
        p_steps: int8, layout CHW32, without its padding: the output's numbers, quantized; not written where GIVE is 0.
        height: height of an image in pixels.
        width: width of an image in pixels.
        dilation: distance of taps in pixels.
        first_bit: bit of the word of taps that is the first tap's: 0, or 9 for a 3 x 3 window that reads clean pixels.
        has_residual: not 0 where the residual is added after the activation.
        slope: slope of the activation below zero.
        sum_slope: slope below zero of the activation after the residual was added; only where UP is 1.
        out_scale: value of a step of `p_steps`; with fp16 it must have no more digits than fp16 has.
        K: side of the window in taps: 1, 3 or 5.
        C: channels of x and of what is joined to it.
        D: channels of the output.
        BK: input channels of a step, a power of two from 16 (32 with INT8 products).
        REST: input channels beyond whole blocks of BK, rounded up to a power of two from 16 (32); 0 for none.
        UP: 1 where the residual [N,4D,height/2,width/2] has half the size, and for each of its pixels the four finer
            ones behind each other, each with D channels, a multiple of 8; else 0.
        J: channels that are joined to those of x, which are then a multiple of 8; 0 for none, as with int8 x.
        GIVE: 0 where the output is given as it is, 1 where it is quantized, 2 for both.
        BM: pixels of a tile, a power of two from 16.
        BN: output channels of a tile, a power of two from 16.
    """
    INTEGER: tl.constexpr = p_packed.dtype.element_ty == tl.int8  # noqa: N806
    TOTAL: tl.constexpr = tl.int32 if INTEGER else tl.float32  # noqa: N806
    WHOLE: tl.constexpr = C // BK if C >= BK else 1  # noqa: N806
    PITCH: tl.constexpr = pitch_of(D, p_out.dtype.element_ty)  # noqa: N806
    X_STEP: tl.constexpr = 32 if p_x.dtype.element_ty == tl.int8 else pitch_of(C - J, p_x.dtype.element_ty)  # noqa: N806
    X_IMAGE: tl.constexpr = (C + 31) // 32 * 32 if p_x.dtype.element_ty == tl.int8 else X_STEP  # noqa: N806
    J_STEP: tl.constexpr = pitch_of(J, p_x.dtype.element_ty)  # noqa: N806
    i_d, i_n = tl.program_id(1), tl.program_id(2)
    pixels = height * width
    first_pixel = i_n.to(tl.int64) * pixels
    p_x += first_pixel * X_IMAGE
    p_joined += first_pixel * J_STEP
    p_taps += first_pixel
    p_index += first_pixel
    p_residual += (first_pixel // 4 * pitch_of(4 * D, p_out.dtype.element_ty)) if UP else first_pixel * PITCH
    p_out += first_pixel * PITCH
    p_steps += first_pixel * ((D + 31) // 32 * 32)
    count = tl.minimum(tl.load(p_count + i_n), pixels)
    o_d = i_d * BN + tl.arange(0, BN)
    x_scale = tl.load(p_x_scale) if p_x.dtype != p_packed.dtype else 1.0
    for i_m in range(tl.program_id(0), tl.cdiv(count, BM), tl.num_programs(0)):
        o_m = i_m * BM + tl.arange(0, BM)
        o_p = tl.load(p_index + o_m, mask=o_m < count, other=-1)  # [BM]
        m_m = is_inside(o_p, pixels)
        if K == 1:
            b_taps = m_m.to(tl.int32)  # [BM]
        else:
            b_taps = tl.load(p_taps + o_m, mask=m_m, other=0) >> first_bit  # [BM]
            b_taps = drop_outside(b_taps, o_p, pixels, width, dilation, K)
        p_rows = p_x + o_p.to(tl.int64)[:, None] * X_STEP  # [BM, 1]
        p_joined_rows = p_joined + o_p.to(tl.int64)[:, None] * J_STEP  # [BM, 1]
        b_acc = tl.zeros((BM, BN), TOTAL)
        for step in range(K * K * WHOLE):
            tap = step // WHOLE
            shift = ((tap // K - K // 2) * width + tap % K - K // 2) * dilation
            m_q = (b_taps & (1 << tap)) != 0
            b_acc = multiply_block(
                b_acc, p_rows, p_joined_rows, p_packed, m_q, o_d, shift, step % WHOLE * BK, tap, pixels, x_scale, C, D,
                BK, WHOLE * BK, J,
            )  # fmt: skip
            if REST > 0 and WHOLE == 1:
                b_acc = multiply_block(
                    b_acc, p_rows, p_joined_rows, p_packed, m_q, o_d, shift, BK, tap, pixels, x_scale, C, D, REST,
                    BK + REST, J,
                )  # fmt: skip
        if REST > 0 and WHOLE > 1:
            for tap in range(K * K):
                shift = ((tap // K - K // 2) * width + tap % K - K // 2) * dilation
                m_q = (b_taps & (1 << tap)) != 0
                b_acc = multiply_block(
                    b_acc, p_rows, p_joined_rows, p_packed, m_q, o_d, shift, WHOLE * BK, tap, pixels, x_scale, C, D,
                    REST, WHOLE * BK + REST, J,
                )  # fmt: skip
        b_out = b_acc.to(tl.float32)
        if INTEGER:
            b_out *= load_outputs(p_scale, o_d, D, BN)[None, :]  # [BN]
        b_out += load_outputs(p_bias, o_d, D, BN).to(tl.float32)[None, :]  # [BN]
        b_out = tl.where(b_out < 0, b_out * slope, b_out)
        offsets = o_p.to(tl.int64)[:, None] * PITCH + o_d[None, :]
        m_out = m_m[:, None]
        if PITCH % BN != 0:
            m_out = m_out & (o_d[None, :] < PITCH)
        if has_residual != 0:
            places = find_coarse(o_p, width, 4 * D, D)[:, None] + o_d[None, :] if UP else offsets
            b_out += tl.load(p_residual + places, mask=m_out, other=0).to(tl.float32)  # [BM, BN]
            if UP:
                b_out = tl.where(b_out < 0, b_out * sum_slope, b_out)
        if PITCH != D:
            b_out = tl.where(o_d[None, :] < D, b_out, 0)  # padding becomes zero, whatever the residual's holds
        b_out = b_out.to(p_out.dtype.element_ty)
        if GIVE != 1:
            tl.store(p_out + offsets, b_out, mask=m_out)
        if GIVE != 0:
            planes = (o_d // 32).to(tl.int64) * pixels * 32 + o_d % 32
            m_steps = m_m[:, None] if D % BN == 0 else m_m[:, None] & (o_d[None, :] < D)
            tl.store(
                p_steps + o_p.to(tl.int64)[:, None] * 32 + planes[None, :], quantize(b_out, out_scale), mask=m_steps
            )
