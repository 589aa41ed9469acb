"""Enumerations and plain types of the package."""

from __future__ import annotations

import enum

import numpy as np

DataType = enum.Enum("DataType", "FLOAT HALF INT8 INT32 BOOL UINT8 FP8 BF16 INT64 INT4", start=0)
TensorIOMode = enum.Enum("TensorIOMode", "NONE INPUT OUTPUT", start=0)
TensorLocation = enum.Enum("TensorLocation", "DEVICE HOST", start=0)
ExecutionContextAllocationStrategy = enum.Enum(
    "ExecutionContextAllocationStrategy", "STATIC ON_PROFILE_CHANGE USER_MANAGED", start=0
)
LayerInformationFormat = enum.Enum("LayerInformationFormat", "ONELINE JSON", start=0)
ProfilingVerbosity = enum.Enum("ProfilingVerbosity", "LAYER_NAMES_ONLY NONE DETAILED", start=0)

NUMPY = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "INT32": "int32",
    "BOOL": "bool",
    "UINT8": "uint8",
    "INT64": "int64",
}
"""Name of a data type -> name of NumPy's type."""


def nptype(trt_type: DataType) -> type:
    """Return NumPy's type of a data type.

    Raises:
        TypeError: NumPy has none.
    """
    if trt_type.name not in NUMPY:
        raise TypeError(f"Could not resolve TensorRT datatype to an equivalent numpy datatype: {trt_type}")
    return np.dtype(NUMPY[trt_type.name]).type


def find_type(dtype: np.dtype) -> DataType:
    """Return the data type of a NumPy type."""
    return DataType[next(name for name, own in NUMPY.items() if own == dtype.name)]


class Dims(tuple):
    """Sizes of a tensor, -1 where one is not known."""
