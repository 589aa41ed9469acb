"""What makes a training step on a CPU fast, beside the arithmetic of PyTorch."""

from __future__ import annotations

import contextlib
import ctypes

import torch

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
"""Parameters of glibc's `mallopt` (malloc.h)."""


def has_matrix_tiles() -> bool:
    """Does this CPU multiply bfloat16 matrices in tiles (Intel's AMX)? There mixed precision is faster than float32."""
    # Not in every PyTorch that setup.cfg admits; those train in float32.
    ask = getattr(torch.cpu, "get_capabilities", None)
    return ask is not None and bool(ask().get("amx_bf16", False))


def keep_freed_memory() -> bool:
    """Let this process keep the memory it frees, instead of handing it back and asking for it anew.

    A training step frees all its activations. By default glibc maps each large one separately, so that every step
    gets fresh pages from the kernel, which fills them with zeros: a third of a step of 24 crops of 128 pixels. It holds
    for the whole process, and cannot be taken back.

    Returns:
        Whether the C library is one that can: others are left as they are.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # no mallopt, no C library to load: not glibc
        mallopt = ctypes.CDLL(None).mallopt
        return all([mallopt(_MMAP_MAX, 0), mallopt(_TRIM_THRESHOLD, 2**31 - 1), mallopt(_TOP_PAD, 2**28)])
    return False
