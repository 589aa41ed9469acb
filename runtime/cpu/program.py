"""Row program, which describes a network to the kernels.

It has a list of steps for each of Net_L and Net_R, and the weights. Steps name the values that they read and make; the
names are those of the ONNX graphs. Its two files are JSON and the weights' bytes, so that reading it needs no onnx.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..bounds.files import read_text
from ..bounds.values import parse_json, shorten
from ..errors import UserError

FORMAT = 1
"""Number of the format; a program of a higher one is refused."""
ALIGNMENT = 64
"""Number of bytes that each array's place is a multiple of."""

_OF_INT8 = ("step", "scales", "key_step", "value_step")
"""Fields that the steps of float32 leave out."""
_TYPES = {"float32": "<f4", "int8": "i1"}
"""Types of arrays as they are stored."""


@dataclass(frozen=True)
class ConvolveMap:
    """Convolution of every pixel of a map."""

    name: str
    """Name of the layer: "net_l.stem"."""
    x: str
    """Map that it reads; "image" is the picture."""
    out: str
    weight: str
    """Array [D, C, k, k]."""
    bias: str
    """Array [D]."""
    stride: int
    pads: int
    """Zeros on each side, in pixels."""
    add: str = ""
    """Map that is added; empty for none."""
    relu: bool = False
    """Whether a ReLU follows."""
    step: float = 0.0
    """Value of one step of the int8 values that it reads; 0: they are float32."""
    scales: str = ""
    """Array [D], factors of the int8 weights; empty: these are float32."""


@dataclass(frozen=True)
class AddDoubled:
    """Sum of a map and a doubled one.

    Each pixel of the coarse map counts for 2x2 of the fine one.
    """

    fine: str
    coarse: str
    out: str


@dataclass(frozen=True)
class FindMask:
    """Last layer of Net_L.

    A convolution and a pixel shuffle give the features and the mask.
    """

    name: str
    x: str
    weight: str
    """Array [4 * (1 + F), C, k, k]; output channel 4 * c + position, and c = 0 is the logit."""
    bias: str
    pads: int
    threshold: float
    """Logit above which a pixel is distorted."""
    mask: str
    """Name of the mask."""
    out: str
    """Name of the features."""
    step: float = 0.0
    """Value of one step of the int8 values that it reads; 0: they are float32."""
    scales: str = ""
    """Array [D], factors of the int8 weights; empty: these are float32."""


@dataclass(frozen=True)
class ConvolveAround:
    """First layer of a scale.

    It reads picture and features, those of clean neighbours too.
    """

    name: str
    out: str
    scale: int
    modulated: bool
    """Whether distorted features get the statistics of clean ones."""
    weight: str
    bias: str
    slope: float
    """Slope of the activation below zero."""
    step: float = 0.0
    """Value of one step of the int8 values that it reads; 0: they are float32."""
    scales: str = ""
    """Array [D], factors of the int8 weights; empty: these are float32."""


@dataclass(frozen=True)
class ConvolveRows:
    """Convolution of rows, clean neighbours counting as zeros."""

    name: str
    x: str
    out: str
    scale: int
    weight: str
    bias: str
    slope: float
    add: str = ""
    """Rows that are added after the activation; rows that are folded at the next coarser scale are unfolded first."""
    relu: bool = False
    """Whether a ReLU follows the sum."""
    folded: bool = False
    """Whether each row holds 2x2 pixels of the finer scale, output channel 4 * c + position."""
    step: float = 0.0
    """Value of one step of the int8 values that it reads; 0: they are float32."""
    scales: str = ""
    """Array [D], factors of the int8 weights; empty: these are float32."""


@dataclass(frozen=True)
class AttendRows:
    """Attention of rows to clean keys."""

    name: str
    x: str
    """Queries."""
    out: str
    scale: int
    factor: float
    """Factor of the scores, > 0."""
    key_weight: str
    """Array [A, K, 1, 1]; a key is key_weight times a clean feature plus key_bias."""
    key_bias: str
    value_weight: str
    value_bias: str
    key_step: float = 0.0
    """Value of one step of int8 that features are rounded to for the keys; 0: they are not rounded."""
    value_step: float = 0.0
    """Value of one step of int8 that features are rounded to for the values; 0: they are not rounded."""


@dataclass(frozen=True)
class AddResidual:
    """Sum of the picture and the residual.

    It is taken at distorted pixels and clipped to 0..1.
    """

    x: str
    out: str


MapStep = ConvolveMap | AddDoubled | FindMask
"""Step of Net_L."""
RowStep = ConvolveAround | ConvolveRows | AttendRows | AddResidual
"""Step of Net_R."""

Watch = Callable[[MapStep | RowStep, Callable[[], None]], None]
"""Function that gets a step and what runs it, and runs it once; it may time that."""

_MAP_STEPS: Mapping[str, type] = {
    "convolve": ConvolveMap,
    "add_doubled": AddDoubled,
    "find_mask": FindMask,
}
_ROW_STEPS: Mapping[str, type] = {
    "convolve_around": ConvolveAround,
    "convolve": ConvolveRows,
    "attend": AttendRows,
    "add_residual": AddResidual,
}


@dataclass(frozen=True)
class RowProgram:
    """Steps of both stages and their weights."""

    net_l: tuple[MapStep, ...]
    net_r: tuple[RowStep, ...]
    features: tuple[str, ...]
    """Values of Net_L that Net_R reads, by scale."""
    arrays: Mapping[str, np.ndarray]
    """Weights by name, float32 or int8."""

    def weights_of(self, step: ConvolveMap | FindMask | ConvolveAround | ConvolveRows) -> tuple[np.ndarray, np.ndarray]:
        """Return the weights and biases of a layer."""
        return self.arrays[step.weight], self.arrays[step.bias]

    def scales_of(self, step: ConvolveMap | FindMask | ConvolveAround | ConvolveRows) -> np.ndarray | None:
        """Return the factors of a layer's int8 weights, or None."""
        return self.arrays[step.scales] if step.scales else None

    def to_files(self) -> tuple[bytes, bytes]:
        """Return the two files of the program.

        Returns:
            The JSON, and the bytes of the arrays (float32 in little-endian order, or int8).
        """
        table: dict[str, Any] = {}
        parts, end = [], 0
        for name, array in self.arrays.items():
            kind = "int8" if array.dtype == np.int8 else "float32"
            data = np.ascontiguousarray(array, dtype=_TYPES[kind]).tobytes()
            table[name] = {"offset": end, "shape": list(array.shape), **({} if kind == "float32" else {"type": kind})}
            parts += [data, bytes(-len(data) % ALIGNMENT)]
            end += len(data) + -len(data) % ALIGNMENT
        program = {
            "format": FORMAT,
            "net_l": [_step_to_json(step, _MAP_STEPS) for step in self.net_l],
            "net_r": [_step_to_json(step, _ROW_STEPS) for step in self.net_r],
            "features": list(self.features),
            "arrays": table,
        }
        return json.dumps(program, indent=1).encode() + b"\n", b"".join(parts)


def read_program(program: Path, arrays: Path) -> RowProgram:
    """Read a program from its two files.

    Args:
        program: the JSON.
        arrays: the bytes of the arrays.

    Raises:
        UserError: the files are no program, or of a later format.
    """
    try:
        raw = parse_json(read_text(program))
        if not isinstance(raw["format"], int) or raw["format"] > FORMAT:
            raise UserError(
                f"the row program {program} has the format {raw['format']!r} and this version reads up to {FORMAT}; "
                "upgrade spair-rt"
            )
        return RowProgram(
            tuple(_step_from_json(step, _MAP_STEPS) for step in raw["net_l"]),
            tuple(_step_from_json(step, _ROW_STEPS) for step in raw["net_r"]),
            tuple(map(str, raw["features"])),
            _read_arrays(raw["arrays"], arrays.read_bytes()),
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        what = f"{error} is missing or unknown" if isinstance(error, KeyError) else str(error)
        raise UserError(f"cannot read the row program {program}: {shorten(what)}; export the bundle again") from error


def _step_to_json(step: Any, kinds: Mapping[str, type]) -> dict[str, Any]:
    given = {name: value for name, value in asdict(step).items() if value or name not in _OF_INT8}
    return {"op": next(name for name, kind in kinds.items() if kind is type(step)), **given}


def _step_from_json(raw: Mapping[str, Any], kinds: Mapping[str, type]) -> Any:
    kind = kinds[raw["op"]]
    known = {field.name: field.type for field in fields(kind)}
    for name, value in raw.items():
        if name != "op" and type(value).__name__ not in _admitted(known[name]):
            raise TypeError(f"{name} of the step {raw.get('name', raw['op'])} is {value!r}, expected {known[name]}")
    return kind(**{name: value for name, value in raw.items() if name != "op"})


def _admitted(kind: Any) -> tuple[str, ...]:
    return ("float", "int") if kind == "float" else (str(kind),)


def _read_arrays(table: Mapping[str, Mapping[str, Any]], data: bytes) -> dict[str, np.ndarray]:
    arrays = {}
    for name, entry in table.items():
        shape: Sequence[int] = entry["shape"]
        count = int(np.prod(shape, dtype=np.int64))
        kind = _TYPES[entry.get("type", "float32")]
        values = np.frombuffer(data, kind, count, entry["offset"]).reshape(shape)
        arrays[name] = values.astype(np.dtype(kind).newbyteorder("="))
    return arrays
