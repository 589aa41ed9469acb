"""SparseConv2d kernels in FP32, FP16 and INT8.

The convolution is a matrix product over the active pixels, whose left factor is gathered. README.md describes grids,
layouts and the derivation. Tests run the kernels in Triton's interpreter and compile them ahead of time; the tests
marked `gpu` ran them on one GPU, an H100 (docs/results/gpu.md).
"""

import triton
import triton.language as tl

from ..layouts import CHW32, LINEAR, is_inside, load_channels, locate, store_channels


@triton.jit
def pack_weight(p_weight, p_packed, channels, outputs, taps, packed_outputs, BLOCK: tl.constexpr):  # noqa: N803
    """Pack the weights for wide reads.

    [D,C,k,k] becomes [taps, C, packed_outputs]; INT8 becomes [taps, packed_outputs, C rounded up to 32]. The grid
    covers all elements of the result.

    Args:
        p_weight: any type [outputs, channels, taps].
        p_packed: same type; elements beyond `outputs` and `channels` become zero.
        channels: C.
        outputs: D.
        taps: k * k; tap = row * k + column.
        packed_outputs: D rounded up to 16.
        BLOCK: elements of a program, a power of two.
    """
    o_packed = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    if p_weight.dtype.element_ty == tl.int8:
        packed_channels = tl.cdiv(channels, 32) * 32
        o_c = o_packed % packed_channels
        o_d = o_packed // packed_channels % packed_outputs
        o_tap = o_packed // packed_channels // packed_outputs
    else:
        o_d = o_packed % packed_outputs
        o_c = o_packed // packed_outputs % channels
        o_tap = o_packed // packed_outputs // channels
    m_packed = o_tap < taps
    o_weight = (o_d * channels + o_c) * taps + o_tap
    b_weight = tl.load(p_weight + o_weight, mask=m_packed & (o_d < outputs) & (o_c < channels), other=0)  # [BLOCK]
    tl.store(p_packed + o_packed, b_weight, mask=m_packed)


@triton.jit
def combine_scales(p_x_scale, p_weight_scale, p_scale, outputs, BLOCK: tl.constexpr):  # noqa: N803
    """Multiply the scales of each INT8 output channel.

    The grid is (ceil(outputs / BLOCK),).

    Args:
        p_x_scale: fp32 [1].
        p_weight_scale: fp32 [outputs].
        p_scale: fp32 [outputs], receives x_scale * weight_scale.
        outputs: D.
        BLOCK: channels of a program, a power of two.
    """
    o_d = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    b_scale = tl.load(p_weight_scale + o_d, mask=o_d < outputs, other=0)  # [BLOCK]
    tl.store(p_scale + o_d, tl.load(p_x_scale) * b_scale, mask=o_d < outputs)


@triton.jit
def find_neighbour(p_mask, o_y, o_x, m_m, tap, height, width, kernel, dilation, clean_input):
    """Find the pixel under a tap for each row.

    Returns the pixels [M], and whether each of them is read [M].
    """
    o_qy = o_y + (tap // kernel - kernel // 2) * dilation
    o_qx = o_x + (tap % kernel - kernel // 2) * dilation
    m_q = m_m & (o_qy >= 0) & (o_qy < height) & (o_qx >= 0) & (o_qx < width)
    o_q = o_qy * width + o_qx
    b_mask = tl.load(p_mask + o_q, mask=m_q, other=0)  # [M]
    return o_q, m_q & (b_mask + clean_input != 0)


@triton.jit
def quantize(b_x, scale):
    """Quantize a block to int8 as QuantizeLinear does.

    The result is x / scale in FP32, rounded half to even, clamped to -128..127. Adding 1.5 * 2^23 + 128 leaves the
    rounded number + 128 in the lowest byte. An integer operation then takes the 128 off: where the sum of floats itself
    is stored as a byte, ptxas converts its value to U8 instead of storing its bits.

    FP16 needs no division: in the sum with 768 the product with 1 / scale lands on the quotient's side of each half
    step, or exactly on it, for scales that FP16 holds as well (README.md). It is clamped before, two numbers at a time,
    to what becomes -128 and 127.
    """
    if b_x.dtype == tl.float16:
        low = tl.maximum(-128.0 * scale, -65504.0).to(tl.float16)
        high = tl.minimum(127.0 * scale, 65504.0).to(tl.float16)
        b_held = tl.minimum(tl.maximum(b_x, low), high)
        b_rounded = b_held.to(tl.float32) * tl.div_rn(1.0, scale) + 768.0 + (12583040.0 - 768.0)
    else:
        b_rounded = tl.minimum(tl.maximum(tl.div_rn(b_x, scale), -128.0), 127.0) + 12583040.0
    return (b_rounded.to(tl.int32, bitcast=True) ^ 128).to(tl.int8)


@triton.jit
def multiply_taps(
    b_acc,
    p_x,
    p_joined,
    p_mask,
    p_packed,
    i_n,
    o_y,
    o_x,
    m_m,
    o_d,
    height,
    width,
    channels,
    joined,
    own,
    packed_outputs,
    x_pitch,
    joined_pitch,
    x_scale,
    kernel,
    dilation,
    clean_input,
    first,
    blocks,
    IN: tl.constexpr,  # noqa: N803
    BK: tl.constexpr,  # noqa: N803
    WHOLE: tl.constexpr,  # noqa: N803
):
    """Add the products of all taps to the accumulator.

    Every tap is multiplied with `blocks` blocks of BK channels, from the channel `first` on. WHOLE says that all of
    these channels exist, and are of x: then nothing looks at the channels' end, which would cost a detour of x through
    shared memory.
    """
    QUANTIZE: tl.constexpr = p_x.dtype != p_packed.dtype  # noqa: N806
    turns = tl.maximum(blocks, 1)  # the pipeline's first steps are computed before it is known whether there are any
    for step in range(kernel * kernel * blocks):
        tap = step // turns
        o_c = first + step % turns * BK + tl.arange(0, BK)
        o_q, m_q = find_neighbour(p_mask, o_y, o_x, m_m, tap, height, width, kernel, dilation, clean_input)
        offsets = locate(i_n, o_q[:, None], o_c[None, :], height * width, channels - joined, x_pitch, IN)
        if WHOLE:
            b_x = tl.load(p_x + offsets, mask=m_q[:, None], other=0)  # [BM, BK]
        elif p_x.dtype.element_ty == tl.int8:
            b_x = load_channels(p_x, offsets, m_q[:, None], o_c[None, :], channels, x_pitch, IN)  # [BM, BK]
        else:
            is_own = (o_c < own)[None, :]
            others = locate(i_n, o_q[:, None], o_c[None, :] - own, height * width, joined, joined_pitch, IN)
            m_c = o_c < channels if IN == LINEAR else o_c < tl.where(o_c < own, x_pitch, own + joined_pitch)
            p_values = tl.where(is_own, p_x + offsets, p_joined + others)
            b_x = tl.load(p_values, mask=m_q[:, None] & m_c[None, :], other=0)  # [BM, BK]
            if IN != LINEAR and not QUANTIZE:
                b_x = tl.where(o_c[None, :] < channels, b_x, 0)
        if QUANTIZE:
            b_x = quantize(b_x, x_scale)
        if p_packed.dtype.element_ty == tl.int8:  # tensor cores take 8-bit factors with the channels side by side only
            packed_channels = tl.cdiv(channels, 32) * 32
            o_w = (tap * packed_outputs + o_d[:, None]) * packed_channels + o_c[None, :]
            b_w = tl.trans(tl.load(p_packed + o_w, mask=o_d[:, None] < packed_outputs, other=0))  # [BK, BN]
        else:
            o_w = (tap * channels + o_c[:, None]) * packed_outputs + o_d[None, :]
            m_w = o_d[None, :] < packed_outputs
            if not WHOLE:
                m_w = m_w & (o_c[:, None] < channels)
            b_w = tl.load(p_packed + o_w, mask=m_w, other=0)  # [BK, BN]
        b_acc = tl.dot(b_x, b_w, b_acc, input_precision="ieee", out_dtype=b_acc.dtype)
    return b_acc


@triton.jit
def sparse_conv2d(
    p_x,
    p_joined,
    p_mask,
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
    channels,
    joined,
    own,
    outputs,
    packed_outputs,
    x_pitch,
    joined_pitch,
    out_pitch,
    residual_pitch,
    kernel,
    dilation,
    clean_input,
    has_residual,
    give,
    slope,
    sum_slope,
    out_scale,
    IN: tl.constexpr,  # noqa: N803
    OUT: tl.constexpr,  # noqa: N803
    BM: tl.constexpr,  # noqa: N803
    BN: tl.constexpr,  # noqa: N803
    BK: tl.constexpr,  # noqa: N803
):
    """Compute the active pixels of the output.

    The caller has set the other pixels to zero. The grid is (any, ceil(outputs / BN), N).

    Args:
        p_x: fp32, fp16 or int8, layout IN, without the last of `channels` where some are joined.
        p_joined: type and layout of x, [N,joined,height,width]; read where `joined` is not 0.
        p_mask: fp32 or fp16 [N, pixels].
        p_index: i32 [N, pixels] that `compact_mask` wrote. Whatever the list holds, nothing outside of the arrays is
            read or written.
        p_count: i32 [N] that `compact_mask` wrote.
        p_packed: weights that `pack_weight` wrote, in the type of x; or int8 where x is fp32 or fp16 and becomes int8
            as it is gathered.
        p_bias: [outputs], type of the output.
        p_x_scale: fp32 [1], read where x becomes int8; with fp16 it must have no more digits than fp16 has.
        p_scale: fp32 [outputs] that `combine_scales` wrote; read with int8 weights alone.
        p_residual: type and layout of the output; read where `has_residual` is not 0.
        p_out: type of x (fp32 or fp16 with int8 x), layout OUT; not written where `give` is 1.
        p_steps: int8, layout CHW32 without its padding (LINEAR with OUT LINEAR): the output's numbers, quantized; not
            written where `give` is 0.
        height: height of an image in pixels.
        width: width of an image in pixels.
        channels: C, the channels of x and of what is joined to it.
        joined: the last of these channels, which are of `p_joined`; 0 for none, as with int8 x.
        own: channels of x, rounded up to a multiple of 8; where channels are joined they are one.
        outputs: D of the output.
        packed_outputs: columns of the packed weight, a multiple of 16.
        x_pitch: pitch of x, see `layouts`.
        joined_pitch: pitch of what is joined to x.
        out_pitch: pitch of the output.
        residual_pitch: pitch of the residual.
        kernel: k, odd.
        dilation: distance of taps in pixels.
        clean_input: 1 where neighbours are read whatever their mask, else 0.
        has_residual: not 0 where the residual is added after the activation; 2 where it is [N,4D,height/2,width/2] and
            has D channels, a multiple of 8, for each of the four pixels that its pixels cover.
        give: 0 where the output is given as it is, 1 where it is quantized, 2 for both.
        slope: slope of the activation below zero.
        sum_slope: slope below zero of the activation after the residual was added.
        out_scale: value of a step of `p_steps`; with fp16 it must have no more digits than fp16 has.
        BM: pixels of a tile, a power of two from 16.
        BN: output channels of a tile, a power of two from 16.
        BK: input channels of a step, a power of two from 16 (32 with int8).
    """
    i_d, i_n = tl.program_id(1), tl.program_id(2)
    pixels = height * width
    p_mask += i_n.to(tl.int64) * pixels
    p_index += i_n.to(tl.int64) * pixels
    count = tl.minimum(tl.load(p_count + i_n), pixels)
    o_d = i_d * BN + tl.arange(0, BN)
    integer: tl.constexpr = p_packed.dtype.element_ty == tl.int8
    total: tl.constexpr = tl.int32 if integer else tl.float32
    REST: tl.constexpr = 32 if integer else 16  # noqa: N806  the fewest channels that tensor cores take waste the least
    whole = (channels - joined) // BK
    x_scale = tl.load(p_x_scale) if p_x.dtype != p_packed.dtype else 1.0
    for i_m in range(tl.program_id(0), tl.cdiv(count, BM), tl.num_programs(0)):
        o_m = i_m * BM + tl.arange(0, BM)
        m_m = o_m < count
        o_p = tl.load(p_index + o_m, mask=m_m, other=0)  # [BM]
        m_m = m_m & is_inside(o_p, pixels)
        o_y = o_p // width
        o_x = o_p - o_y * width
        b_acc = tl.zeros((BM, BN), total)
        b_acc = multiply_taps(
            b_acc, p_x, p_joined, p_mask, p_packed, i_n, o_y, o_x, m_m, o_d, height, width, channels, joined, own,
            packed_outputs, x_pitch, joined_pitch, x_scale, kernel, dilation, clean_input, 0, whole, IN, BK, True,
        )  # fmt: skip
        b_acc = multiply_taps(
            b_acc, p_x, p_joined, p_mask, p_packed, i_n, o_y, o_x, m_m, o_d, height, width, channels, joined, own,
            packed_outputs, x_pitch, joined_pitch, x_scale, kernel, dilation, clean_input, whole * BK,
            tl.cdiv(channels - whole * BK, REST), IN, REST, False,
        )  # fmt: skip
        b_out = b_acc.to(tl.float32)
        if integer:
            b_out *= tl.load(p_scale + o_d, mask=o_d < outputs, other=0)[None, :]  # [BN]
        b_out += tl.load(p_bias + o_d, mask=o_d < outputs, other=0).to(tl.float32)[None, :]  # [BN]
        b_out = tl.where(b_out < 0, b_out * slope, b_out)
        if has_residual != 0:
            parts = tl.where(has_residual == 2, 4, 1)  # pixels of the output for one of the residual
            o_r = tl.where(has_residual == 2, (o_y // 2) * (width // 2) + o_x // 2, o_p)
            o_first = tl.where(has_residual == 2, (o_y % 2 * 2 + o_x % 2) * outputs, 0)
            o_c = o_first[:, None] + o_d[None, :]
            offsets = locate(i_n, o_r[:, None], o_c, pixels // parts, parts * outputs, residual_pitch, OUT)
            b_residual = load_channels(p_residual, offsets, m_m[:, None], o_d[None, :], outputs, out_pitch, OUT)
            b_out += b_residual.to(tl.float32)  # [BM, BN]
            b_out = tl.where(b_out < 0, b_out * sum_slope, b_out)
        b_out = b_out.to(p_out.dtype.element_ty)
        if give != 1:
            offsets = locate(i_n, o_p[:, None], o_d[None, :], pixels, outputs, out_pitch, OUT)
            store_channels(p_out, offsets, b_out, m_m[:, None], o_d[None, :], outputs, out_pitch, OUT)
        if give != 0:
            steps = locate(
                i_n, o_p[:, None], o_d[None, :], pixels, outputs, out_pitch, LINEAR if OUT == LINEAR else CHW32
            )
            m_steps = m_m[:, None] & (o_d[None, :] < outputs)
            tl.store(p_steps + steps, quantize(b_out, out_scale), mask=m_steps)
