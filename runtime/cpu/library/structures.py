"""Arguments of the kernels.

They are twins of the structures in C++, where the fields are explained. Pointers are addresses of arrays that the
caller keeps alive.
"""

from __future__ import annotations

import ctypes

_POINTER = ctypes.c_void_p
_LONG = ctypes.c_int64
_INT = ctypes.c_int32
_FLOAT = ctypes.c_float

Fields = list[tuple[str, type]]


def _fields(kind: type, *names: str) -> Fields:
    return [(name, kind) for name in names]


class Results(ctypes.Structure):
    """Place of a layer's results, see plugins/cpu/numbers.h."""

    _fields_ = [
        *_fields(_POINTER, "out", "rounded"),
        *_fields(_FLOAT, "step"),
        *_fields(_INT, "form"),
    ]


class Factors(ctypes.Structure):
    """Factors of a layer's sums, see plugins/cpu/products.h."""

    _fields_ = _fields(_POINTER, "bias", "scale", "above")


class Packing(ctypes.Structure):
    """Order of weights, see plugins/cpu/products.h."""

    _fields_ = [
        *_fields(_POINTER, "weight", "packed", "above"),
        *_fields(_LONG, "taps", "inputs"),
        *_fields(_INT, "outputs"),
    ]


class Rounding(ctypes.Structure):
    """Values that are rounded, see plugins/cpu/products.h."""

    _fields_ = [
        ("x", _POINTER),
        ("to", Results),
        ("count", _LONG),
    ]


class Compaction(ctypes.Structure):
    """List of the distorted pixels of a mask, see plugins/compaction/cpu.h."""

    _fields_ = [
        *_fields(_POINTER, "mask", "first", "numbers", "place", "near"),
        *_fields(_INT, "height", "width"),
    ]


class RowConvolution(ctypes.Structure):
    """Convolution of rows, see plugins/sparse_conv2d/cpu.h."""

    _fields_ = [
        *_fields(_POINTER, "x", "weight"),
        ("factors", Factors),
        *_fields(_POINTER, "add", "add_at", "numbers", "place", "near"),
        ("to", Results),
        *_fields(_LONG, "rows"),
        *_fields(_INT, "x_stride", "inputs", "outputs", "kernel", "wide"),
        *_fields(_FLOAT, "slope"),
        *_fields(_INT, "relu", "add_halves"),
    ]


class RowTaps(ctypes.Structure):
    """Sums of the taps of rows, see plugins/sparse_conv2d/cpu.h."""

    _fields_ = [
        *_fields(_POINTER, "x", "numbers", "place", "bias", "out"),
        *_fields(_LONG, "rows"),
        *_fields(_INT, "x_stride", "channels", "wide"),
    ]


class RowAttention(ctypes.Structure):
    """Attention of rows to keys, see plugins/sparse_non_local/cpu.h."""

    _fields_ = [
        *_fields(_POINTER, "query", "keys", "barred", "values", "zeros", "out"),
        *_fields(_LONG, "rows"),
        *_fields(_INT, "stride", "depth", "keys_count", "outputs"),
        *_fields(_FLOAT, "scale"),
    ]


class MapMoments(ctypes.Structure):
    """Moments of a map by its mask, see plugins/masked_modulation/cpu.h."""

    _fields_ = [
        *_fields(_POINTER, "map", "mask", "parts"),
        *_fields(_LONG, "line", "mask_line"),
        *_fields(_INT, "height", "width", "channels", "stride"),
    ]


class Keys(ctypes.Structure):
    """Sums of clean pixels by cell, see plugins/masked_modulation/cpu.h."""

    _fields_ = [
        *_fields(_POINTER, "map", "mask", "sums", "counts"),
        *_fields(_LONG, "line", "mask_line"),
        *_fields(_INT, "height", "width", "channels", "stride", "grid"),
        *_fields(_INT, "top", "left", "full_height", "full_width"),
    ]


class Lift(ctypes.Structure):
    """Rows of a picture and its features, see plugins/masked_modulation/cpu.h."""

    _fields_ = [
        *_fields(_POINTER, "picture", "map", "scale", "shift", "mask", "place"),
        ("to", Results),
        *_fields(_LONG, "rows", "line"),
        *_fields(_INT, "width", "channels", "map_stride", "stride"),
    ]


class MapConvolution(ctypes.Structure):
    """Convolution of a map, see plugins/cpu/maps.h."""

    _fields_ = [
        *_fields(_POINTER, "x", "weight"),
        ("factors", Factors),
        ("add", _POINTER),
        ("to", Results),
        *_fields(_LONG, "x_line", "x_next", "add_line", "out_line"),
        *_fields(_INT, "x_step", "lines", "run", "height", "width", "outputs", "border", "relu"),
    ]


class Doubling(ctypes.Structure):
    """Sum of a map and a doubled one, see plugins/cpu/maps.h."""

    _fields_ = [
        *_fields(_POINTER, "fine", "coarse"),
        ("to", Results),
        *_fields(_LONG, "fine_line", "coarse_line", "out_line"),
        *_fields(_INT, "height", "width", "channels", "border"),
    ]


class Head(ctypes.Structure):
    """Last layer of Net_L, see plugins/cpu/maps.h."""

    _fields_ = [
        ("layer", MapConvolution),
        *_fields(_POINTER, "features", "mask"),
        *_fields(_INT, "channels"),
        *_fields(_FLOAT, "threshold"),
    ]


class Finish(ctypes.Structure):
    """Sum of a picture and its residual, see plugins/cpu/pictures.h."""

    _fields_ = [
        *_fields(_POINTER, "pixels", "residual", "place", "out"),
        *_fields(_LONG, "rows", "size", "next"),
        *_fields(_INT, "width", "stride", "top", "left", "bottom", "right"),
    ]


class Bytes(ctypes.Structure):
    """8-bit picture and its planes, see plugins/cpu/pictures.h."""

    _fields_ = [
        *_fields(_POINTER, "image", "planes", "mask", "out"),
        *_fields(_LONG, "line"),
        *_fields(_INT, "step", "height", "width", "full_height", "full_width"),
    ]


STRUCTURES = (
    *(Compaction, RowConvolution, RowAttention, MapMoments, Keys),
    *(Lift, MapConvolution, Doubling, Head, Finish, Packing, Rounding, Bytes, RowTaps),
)
"""All structures, in the order in which the library tells their sizes."""
