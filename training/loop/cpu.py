"""Machine settings for fast training steps on a CPU."""

from __future__ import annotations

import contextlib
import ctypes

import torch

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
"""Parameters of glibc's `mallopt` (malloc.h)."""


def has_matrix_tiles() -> bool:
    """Tell whether this CPU multiplies bfloat16 matrices in tiles.

    Intel's AMX does. On such a CPU mixed precision is faster than float32.
    """
    # Some versions of PyTorch that setup.cfg admits lack this function; with them training uses float32.
    ask = getattr(torch.cpu, "get_capabilities", None)
    return ask is not None and bool(ask().get("amx_bf16", False))


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees.

    A training step frees all its activations. By default glibc maps each large one separately, so every step gets fresh
    pages from the kernel, which fills them with zeros. That took a third of a step of 24 crops of 128 pixels. The
    setting holds for the whole process and cannot be undone.

    Returns:
        Whether the C library has this setting; other libraries are left as they are.
    """
    # These errors mean that there is no mallopt or no C library to load, so this is not glibc.
    with contextlib.suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        return all([mallopt(_MMAP_MAX, 0), mallopt(_TRIM_THRESHOLD, 2**31 - 1), mallopt(_TOP_PAD, 2**28)])
    return False
