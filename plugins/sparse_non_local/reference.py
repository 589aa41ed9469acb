"""SparseNonLocal, defined one query at a time."""

from __future__ import annotations

import numpy as np


def sparse_non_local(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    query_mask: np.ndarray,
    key_mask: np.ndarray,
    *,
    scale: float,
) -> np.ndarray:
    """Attend from distorted pixels to clean keys, exactly.

    The softmax is exact. Where query_mask[n,p] = 1, `out[n,:,p] = sum_j softmax_j(scale * query[n,:,p] . key[n,:,j])
    value[n,:,j]` over the keys with key_mask 1. The output is zero elsewhere, and in images without a clean key.

    Args:
        query: float32 [N,C,H,W].
        key: float32 [N,C,K,L].
        value: float32 [N,D,K,L].
        query_mask: float32 [N,1,H,W], 0 or 1.
        key_mask: float32 [N,1,K,L], 0 or 1.
        scale: factor on the scores; the network uses 1/sqrt(C).

    Returns:
        float32 [N,D,H,W], computed in float64.
    """
    batch, _, height, width = query.shape
    out = np.zeros((batch, value.shape[1], height, width), np.float32)
    for n in range(batch):
        clean = key_mask[n, 0] != 0
        keys, values = key[n][:, clean].astype(np.float64), value[n][:, clean].astype(np.float64)
        if not clean.any():
            continue
        for row, column in zip(*np.nonzero(query_mask[n, 0]), strict=True):
            scores = scale * (query[n, :, row, column].astype(np.float64) @ keys)
            weights = np.exp(scores - scores.max())
            out[n, :, row, column] = values @ (weights / weights.sum())
    return out
