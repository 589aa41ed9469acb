"""SparseNonLocal kernel for exact attention in one pass.

Active pixels attend to all clean keys, and the softmax is kept running over blocks of keys. README.md describes grids,
layouts and the derivation. Tests run the kernel in Triton's interpreter and compile it ahead of time; the tests marked
`gpu` ran it on one GPU, an H100 (docs/results/gpu.md).
"""

import triton
import triton.language as tl

from ..layouts import is_inside, load_channels, locate, store_channels

LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def fold_keys(b_query, b_acc, b_peak, b_sum, p_key, p_value, p_key_mask, o_j, keys, channels, outputs, o_c, o_d, scale):
    """Fold one block of keys into the running softmax.

    The softmax is an accumulator [BM, BD], a peak [BM] and a sum [BM]. The peak is the largest score so far in base 2.
    It is -inf before the first clean key: then nothing was accumulated, and 0 is subtracted instead, which keeps inf -
    inf away.
    """
    m_j = o_j < keys
    m_j = m_j & (tl.load(p_key_mask + o_j, mask=m_j, other=0) != 0)  # [BJ]
    m_key = (o_c[:, None] < channels) & m_j[None, :]
    b_key = tl.load(p_key + o_c[:, None] * keys + o_j[None, :], mask=m_key, other=0)  # [BC, BJ]
    m_value = m_j[:, None] & (o_d[None, :] < outputs)
    b_value = tl.load(p_value + o_d[None, :] * keys + o_j[:, None], mask=m_value, other=0)  # [BJ, BD]
    b_score = tl.dot(b_query, b_key, input_precision="ieee") * (scale * LOG2_E)
    b_score = tl.where(m_j[None, :], b_score, float("-inf"))
    b_next = tl.maximum(b_peak, tl.max(b_score, 1))
    b_base = tl.where(b_next == float("-inf"), 0.0, b_next)
    b_weight = tl.exp2(b_score - b_base[:, None])
    b_shrink = tl.exp2(b_peak - b_base)
    b_acc = tl.dot(b_weight.to(b_value.dtype), b_value, b_acc * b_shrink[:, None], input_precision="ieee")
    return b_acc, b_next, b_sum * b_shrink + tl.sum(b_weight, 1)


@triton.jit
def sparse_non_local(
    p_query,
    p_key,
    p_value,
    p_index,
    p_count,
    p_key_mask,
    p_out,
    pixels,
    keys,
    channels,
    outputs,
    query_pitch,
    out_pitch,
    scale,
    IN: tl.constexpr,  # noqa: N803
    OUT: tl.constexpr,  # noqa: N803
    BM: tl.constexpr,  # noqa: N803
    BJ: tl.constexpr,  # noqa: N803
    BC: tl.constexpr,  # noqa: N803
    BD: tl.constexpr,  # noqa: N803
):
    """Compute the active pixels of the output.

    The caller has set the other pixels to zero. The grid is (any, 1, N).

    Args:
        p_query: fp32 or fp16, layout IN.
        p_key: type of the query, [N, channels, keys].
        p_value: type of the query, [N, outputs, keys].
        p_index: i32 [N, pixels] that `compact_mask` wrote. Whatever the list holds, nothing outside of the arrays is
            read or written.
        p_count: i32 [N] that `compact_mask` wrote.
        p_key_mask: fp32 or fp16 [N, keys]; a key takes part where it is not 0.
        p_out: type of the query, layout OUT.
        pixels: number of queries of an image.
        keys: number of keys of an image.
        channels: channels of queries and keys.
        outputs: channels of values.
        query_pitch: pitch of the queries, see `layouts`.
        out_pitch: pitch of the output.
        scale: factor on the scores.
        BM: queries of a tile, a power of two from 16.
        BJ: keys of a step, a power of two from 16.
        BC: power of two from 16, at least `channels`.
        BD: power of two from 16, at least `outputs`.
    """
    i_n = tl.program_id(2)
    o_c, o_d = tl.arange(0, BC), tl.arange(0, BD)
    count = tl.minimum(tl.load(p_count + i_n), pixels)
    p_key += i_n.to(tl.int64) * channels * keys
    p_value += i_n.to(tl.int64) * outputs * keys
    p_key_mask += i_n.to(tl.int64) * keys
    for i_m in range(tl.program_id(0), tl.cdiv(count, BM), tl.num_programs(0)):
        o_m = i_m * BM + tl.arange(0, BM)
        m_m = o_m < count
        o_p = tl.load(p_index + i_n.to(tl.int64) * pixels + o_m, mask=m_m, other=0)  # [BM]
        m_m = m_m & is_inside(o_p, pixels)
        offsets = locate(i_n, o_p[:, None], o_c[None, :], pixels, channels, query_pitch, IN)
        b_query = load_channels(p_query, offsets, m_m[:, None], o_c[None, :], channels, query_pitch, IN)  # [BM, BC]
        b_acc = tl.zeros((BM, BD), tl.float32)
        b_sum = tl.zeros((BM,), tl.float32)
        b_peak = tl.full((BM,), float("-inf"), tl.float32)
        for i_j in range(0, keys, BJ):
            o_j = i_j + tl.arange(0, BJ)
            b_acc, b_peak, b_sum = fold_keys(
                b_query, b_acc, b_peak, b_sum, p_key, p_value, p_key_mask, o_j, keys, channels, outputs, o_c, o_d, scale
            )
        b_out = tl.where(b_sum[:, None] > 0, b_acc / b_sum[:, None], 0.0)
        offsets = locate(i_n, o_p[:, None], o_d[None, :], pixels, outputs, out_pitch, OUT)
        store_channels(p_out, offsets, b_out, m_m[:, None], o_d[None, :], outputs, out_pitch, OUT)
