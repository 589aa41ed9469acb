"""TensorRT's structures for ctypes, as in its headers from 10.0 on (dimensions are 64 bits wide)."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

FLOAT, HALF, INT8, INT32 = 0, 1, 2, 3
"""nvinfer1::DataType."""
LINEAR, HWC8, CHW32, HWC = 0, 2, 5, 8
"""nvinfer1::TensorFormat."""
FIELD_FLOAT32, FIELD_INT32, FIELD_CHAR = 1, 5, 6
"""nvinfer1::PluginFieldType."""
BUILD, RUNTIME = 0, 1
"""nvinfer1::TensorRTPhase."""

TYPE_OF = {
    np.dtype(np.float32): FLOAT,
    np.dtype(np.float16): HALF,
    np.dtype(np.int8): INT8,
    np.dtype(np.int32): INT32,
}


class Dims(ctypes.Structure):
    """nvinfer1::Dims64."""

    _fields_ = [("count", ctypes.c_int32), ("d", ctypes.c_int64 * 8)]


class PluginTensorDesc(ctypes.Structure):
    """nvinfer1::PluginTensorDesc."""

    _fields_ = [("dims", Dims), ("type", ctypes.c_int32), ("format", ctypes.c_int32), ("scale", ctypes.c_float)]


class DynamicPluginTensorDesc(ctypes.Structure):
    """nvinfer1::DynamicPluginTensorDesc."""

    _fields_ = [("desc", PluginTensorDesc), ("min", Dims), ("max", Dims), ("opt", Dims)]


class PluginField(ctypes.Structure):
    """nvinfer1::PluginField."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("type", ctypes.c_int32),
        ("length", ctypes.c_int32),
    ]


class PluginFieldCollection(ctypes.Structure):
    """nvinfer1::PluginFieldCollection."""

    _fields_ = [("count", ctypes.c_int32), ("fields", ctypes.POINTER(PluginField))]


class KernelImage(ctypes.Structure):
    """spair::KernelImage of plugins/native/kernel_table.h."""

    _fields_ = [
        ("variant", ctypes.c_char_p),
        ("sm", ctypes.c_int),
        ("code", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("ptx", ctypes.c_bool),
        ("symbol", ctypes.c_char_p),
        ("warps", ctypes.c_int),
        ("shared", ctypes.c_int),
        ("parameters", ctypes.c_int),
        ("tile", ctypes.c_int * 4),
    ]


def read_images(library: ctypes.CDLL) -> list[KernelImage]:
    """The kernel table of a plugin library."""
    table = library.spair_plugins_kernels
    table.restype = ctypes.POINTER(KernelImage)
    count = ctypes.c_uint64()
    images = table(ctypes.byref(count))
    return [images[index] for index in range(count.value)]


def make_dims(shape: Sequence[int]) -> Dims:
    """Dimensions of a shape."""
    dims = Dims(count=len(shape))
    for axis, size in enumerate(shape):
        dims.d[axis] = size
    return dims


def describe(shape: Sequence[int], kind: int, layout: int = LINEAR) -> PluginTensorDesc:
    """A tensor whose shape is known."""
    return PluginTensorDesc(make_dims(shape), kind, layout, 1.0)


def describe_range(
    largest: Sequence[int], kind: int, layout: int = LINEAR, open_axes: Sequence[int] = ()
) -> DynamicPluginTensorDesc:
    """A tensor of up to `largest`; the sizes of `open_axes` may be anything from 1."""
    now = [-1 if axis in open_axes else size for axis, size in enumerate(largest)]
    least = [1 if axis in open_axes else size for axis, size in enumerate(largest)]
    limits = (make_dims(least), make_dims(largest), make_dims(largest))
    return DynamicPluginTensorDesc(describe(now, kind, layout), *limits)


def make_field(name: str, value: Any) -> tuple[PluginField, Any]:
    """An attribute as TensorRT's parser hands it over, and the memory that it points to."""
    if isinstance(value, str):
        data: Any = ctypes.create_string_buffer(value.encode())
        return PluginField(name.encode(), ctypes.addressof(data), FIELD_CHAR, len(value) + 1), data
    whole = isinstance(value, int) or (isinstance(value, (list, tuple)) and all(isinstance(v, int) for v in value))
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    data = ((ctypes.c_int32 if whole else ctypes.c_float) * len(values))(*values)
    kind = FIELD_INT32 if whole else FIELD_FLOAT32
    return PluginField(name.encode(), ctypes.addressof(data), kind, len(values)), data
