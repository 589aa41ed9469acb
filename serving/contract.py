"""Names, types and shapes of what models take and give.

They are the same behind `spair serve` and behind Triton Inference Server, so a client needs no change.
"""

from __future__ import annotations

from dataclasses import dataclass

VERSION = "1"
"""Version of every model; a bundle has one."""
BYTES_SUFFIX = "_bytes"
"""End of the name of the model that takes and gives picture files."""
FREE = -1
"""Size that each request chooses."""
FORMATS = ("png", "input")
"""Values of the request's parameter `format`; "input" is the format of the file that came."""
CONFIG_TYPES = {"UINT8": "TYPE_UINT8", "FP32": "TYPE_FP32", "BYTES": "TYPE_STRING"}
"""Names of the types in a model's configuration, by their names in the protocol."""


@dataclass(frozen=True)
class TensorSpec:
    """Description of an input or output."""

    name: str
    datatype: str
    """Name of the type in the Open Inference Protocol: "UINT8", "FP32" or "BYTES"."""
    shape: tuple[int, ...]
    """Sizes; `FREE` where a request chooses."""


@dataclass(frozen=True)
class Contract:
    """Inputs and outputs of a model."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


PIXELS = Contract(
    inputs=(TensorSpec("image", "UINT8", (FREE, 3, FREE, FREE)),),
    outputs=(
        TensorSpec("restored", "UINT8", (FREE, 3, FREE, FREE)),
        TensorSpec("mask", "UINT8", (FREE, 1, FREE, FREE)),
        TensorSpec("density", "FP32", (FREE,)),
    ),
)
"""Model NAME: RGB pictures [N, 3, H, W] in; restored pictures, masks (1 where distorted, else 0) and the share of
distorted pixels out. A network without a mask gives ones and 1.0, because it computes every pixel."""

ENCODED = Contract(
    inputs=(TensorSpec("image", "BYTES", (1,)),),
    outputs=(
        TensorSpec("restored", "BYTES", (1,)),
        TensorSpec("mask", "BYTES", (1,)),
        TensorSpec("density", "FP32", (1,)),
    ),
)
"""Model NAME_bytes: one picture file in (what `spair.runtime.read_image` reads); a PNG with the picture's metadata, a
gray PNG of the mask (255 where distorted, else 0) and the share of distorted pixels out."""
