"""Kernels of a library, by type, layout and size.

The names of the kernels are the contract with the C++ side, which looks kernels up by them. Their parts are types
("fp16"), layouts ("pixels") and sizes ("b64"), in the order that the function here gives them. Where a layer has
several tilings, their names end the names of all but the first choice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ...cost import NumberType
from ..assembly.counts import Work
from .tiles import Tiling, list_alternatives, list_tilings, split_channels

POINTER_ALIGNMENT = 16
"""Bytes that pointers are aligned to; CUDA aligns allocations to 256, and the plugins align what they cut from a
workspace."""
ALIGNED = {"packed_outputs": 16, "own": 8}
"""Number of which each of these integer parameters is a multiple whenever the plugins pass it."""
PITCHES = {"x_pitch": ("IN", "p_x"), "query_pitch": ("IN", "p_query"), "out_pitch": ("OUT", "p_out")}
PITCHES["residual_pitch"] = PITCHES["out_pitch"]
PITCHES["added_pitch"] = ("IN", "p_residual")
PITCHES["joined_pitch"] = ("IN", "p_joined")
"""Constant that holds the layout and name of the tensor, for each pitch; kHWC8 pads channels to 8, kHWC does not
pad."""
SPARSE_CONVOLUTIONS: tuple[tuple[NumberType, NumberType, NumberType], ...] = (
    ("fp32", "fp32", "fp32"),
    ("fp16", "fp16", "fp16"),
    ("int8", "int8", "fp16"),
    ("int8", "int8", "fp32"),
    ("fp16", "int8", "fp16"),
    ("fp32", "int8", "fp32"),
)
"""Types of x, of the weights, and of mask, bias, residual and output; a float x with INT8 weights becomes INT8 as it
is read."""
WINDOWS = (1, 3, 5)
"""Sides of the windows that the plugins take."""
INDEXED = 3
"""Side of the window whose taps an index lists."""
_USUAL_WINDOWS = {(mask, kernel) for mask in ("fp32", "fp16") for kernel in (1, INDEXED)}
"""Masks and windows whose taps every library lists, or that have one tap."""
GIVES = ("float", "int8", "both")
"""Types in which a convolution may write its output, in the order of the kernels' numbers for them."""
_SLOPES = {"slope": "fp32", "sum_slope": "fp32", "out_scale": "fp32"}
"""Last parameters of sparse convolutions."""
_AT = {"fp32": "*fp32", "fp16": "*fp16", "int8": "*i8", "int32": "*i32"}
"""Triton's pointer type for each type of elements."""


@dataclass(frozen=True)
class Layer:
    """Sizes and types of a sparse convolution."""

    x: NumberType
    weight: NumberType
    out: NumberType
    kernel: int
    """Side of the window in taps."""
    channels: int
    outputs: int
    coarse: bool = False
    """Whether the residual has half the size."""
    joined: int = 0
    """Input channels, the last ones, that are of another tensor."""
    gives: Literal["float", "int8", "both"] = "float"
    """Types in which the output is written."""

    def __post_init__(self) -> None:
        if (self.x, self.weight, self.out) not in SPARSE_CONVOLUTIONS or self.kernel not in WINDOWS:
            raise ValueError(f"expected types of {SPARSE_CONVOLUTIONS} and a window of {WINDOWS}, got {self}")

    @property
    def types(self) -> tuple[NumberType, NumberType, NumberType]:
        """Types as `SPARSE_CONVOLUTIONS` has them."""
        return self.x, self.weight, self.out

    @property
    def parts(self) -> tuple[str, ...]:
        """Parts of the kernel's name."""
        return (
            *self.types,
            f"k{self.kernel}",
            f"c{self.channels}",
            f"d{self.outputs}",
            *["up"] * self.coarse,
            *[f"j{self.joined}"] * (self.joined > 0),
            *[f"to_{self.gives}"] * (self.gives != "float"),
        )


USUAL = {"kernel": 3, "channels": 64, "outputs": 64}
"""Sizes for which the general kernel of sparse convolutions is counted."""


@dataclass(frozen=True)
class Variant:
    """Kernel with its types, layouts and possible tilings.

    With one of the tilings these decide its machine code.
    """

    name: str
    module: str
    """Importable module with the Triton function."""
    function: str
    parameters: Mapping[str, str]
    """Triton type ("*fp16", "i32", "fp32") of each parameter, in order."""
    layouts: Mapping[str, int | str]
    """Value of each constant that follows the parameters, in order: a text names a constant of
    `spair.plugins.layouts`, a number is a size of a layer."""
    tilings: tuple[Tiling, ...]
    """Constants that come last, best choice first; the first tiling that keeps the rules is taken."""
    tensor_cores: NumberType | None = None
    """Type that the tensor cores have to multiply, "fp16" or "int8"; None where they need not be used."""
    layer: Layer | None = None
    """Layer that the kernel's instructions are counted for; None for kernels that are no convolutions."""
    optional: bool = False
    """Whether a library may lack it: another tiling of a layer, which is left out where it breaks a rule."""

    def work(self, tiling: Tiling) -> Work | None:
        """Describe the product of a tile, if there is one."""
        if self.layer is None:
            return None
        taps, (pixels, outputs, *block) = self.layer.kernel**2, tiling.sizes
        integer = self.layer.weight == "int8"
        stored, tiles = min(outputs, -(-self.layer.outputs // 8) * 8), -(-self.layer.outputs // outputs)
        if block:
            whole, rest = divmod(self.layer.channels, block[0])
            steps = (taps * whole, taps * -(-rest // (32 if integer else 16)))
            return Work(pixels, outputs, steps[0] * block[0] + steps[1] * (32 if integer else 16), steps, stored, tiles)
        width, rest = split_channels(self.layer.channels, self.layer.weight)
        whole = max(self.layer.channels // width, 1)
        turns = (taps * whole, taps) if rest and whole > 1 else (taps * whole,)
        return Work(pixels, outputs, taps * (whole * width + rest), turns, stored, tiles)

    @property
    def aligned(self) -> dict[str, int]:
        """Divisor of each aligned parameter, in bytes for pointers."""
        pointers = {name: POINTER_ALIGNMENT for name, kind in self.parameters.items() if kind.startswith("*")}
        padded = {
            name: 8
            for name, (layout, tensor) in PITCHES.items()
            if name in self.parameters
            and self.layouts.get(layout) == "PIXELS"
            and self.parameters.get(tensor) == "*fp16"
        }
        return pointers | padded | {name: number for name, number in ALIGNED.items() if name in self.parameters}


def list_variants(
    architecture: int, layers: Collection[Layer] = (), *, alternatives: bool = False
) -> tuple[Variant, ...]:
    """List every kernel of a library, tiled for an architecture.

    Args:
        architecture: compute capability.
        layers: sparse convolutions that get kernels of their own; others run in the general ones.
        alternatives: list other tilings of each layer too, under names that end with the tiling's.
    """
    makers = (_compaction, _convolutions, _modulation, _attention, _composition)
    general = [variant for maker in makers for variant in maker(architecture)]
    own = list(_layers(architecture, layers))
    return (*general, *own, *(_list_alternatives(own) if alternatives else ()))


def _compaction(architecture: int) -> Iterator[Variant]:
    masks: tuple[NumberType, ...] = ("fp32", "fp16")
    for mask in masks:
        parameters = _pointers(p_mask=mask, p_index="int32", p_count="int32") | _integers("pixels")
        yield _make(architecture, "compaction", "compact_mask", (mask,), parameters)
        yield _neighbours(architecture, mask, INDEXED)


def _neighbours(architecture: int, mask: NumberType, kernel: int) -> Variant:
    """Make the kernel that lists taps of a window."""
    parameters = _pointers(p_mask=mask, p_index="int32", p_taps="int32", p_count="int32")
    parameters |= _integers("height", "width", "dilation", "clean_input")
    made = _make(architecture, "compaction", "compact_neighbours", (mask, f"k{kernel}"), parameters)
    return dataclasses.replace(made, layouts={"K": kernel})


def _convolutions(architecture: int) -> Iterator[Variant]:
    folder = "sparse_conv2d"
    for weight in ("fp32", "fp16", "int8"):
        parameters = _pointers(p_weight=weight, p_packed=weight)
        parameters |= _integers("channels", "outputs", "taps", "packed_outputs")
        yield _make(architecture, folder, "pack_weight", (weight,), parameters)
    scales = _pointers(p_x_scale="fp32", p_weight_scale="fp32", p_scale="fp32")
    yield _make(architecture, folder, "combine_scales", (), scales | _integers("outputs"))
    for x, weight, out in SPARSE_CONVOLUTIONS:
        pointers = _pointers(
            p_x=x, p_joined=x, p_mask=out, p_index="int32", p_count="int32", p_packed=weight,
            p_bias=out, p_x_scale="fp32", p_scale="fp32", p_residual=out, p_out=out, p_steps="int8",
        )  # fmt: skip
        sizes = _integers("height", "width", "channels", "joined", "own", "outputs", "packed_outputs", "x_pitch")
        sizes |= _integers("joined_pitch", "out_pitch", "residual_pitch")
        options = _integers("kernel", "dilation", "clean_input", "has_residual", "give") | _SLOPES
        for layouts in (("linear", "linear"), ("chw32" if x == "int8" else "pixels", "pixels")):
            parts = (x, weight, out, *layouts)
            layer = Layer(x, weight, out, USUAL["kernel"], USUAL["channels"], USUAL["outputs"])
            made = _make(architecture, folder, "sparse_conv2d", parts, pointers | sizes | options, layouts, weight)
            yield dataclasses.replace(made, layer=layer)


def _layers(architecture: int, layers: Collection[Layer]) -> Iterator[Variant]:
    """List the kernels of layers and of their taps."""
    for mask, kernel in sorted({(layer.out, layer.kernel) for layer in layers} - _USUAL_WINDOWS):
        yield _neighbours(architecture, mask, kernel)
    for layer in sorted(set(layers), key=lambda layer: layer.parts):
        pointers = _pointers(
            p_x=layer.x, p_joined=layer.x, p_taps="int32", p_index="int32", p_count="int32", p_packed=layer.weight,
            p_bias=layer.out, p_x_scale="fp32", p_scale="fp32", p_residual=layer.out, p_out=layer.out, p_steps="int8",
        )  # fmt: skip
        options = _integers("height", "width", "dilation", "first_bit", "has_residual") | _SLOPES
        width, rest = split_channels(layer.channels, layer.weight)
        made = _make(
            architecture, "sparse_conv2d", "convolve_layer", layer.parts, pointers | options, (), layer.weight
        )  # fmt: skip
        module = "spair.plugins.sparse_conv2d.layer_kernel"
        sizes = {"K": layer.kernel, "C": layer.channels, "D": layer.outputs, "BK": width, "REST": rest}
        sizes |= {"UP": int(layer.coarse), "J": layer.joined, "GIVE": GIVES.index(layer.gives)}
        yield dataclasses.replace(made, module=module, layouts=sizes, layer=layer)


def _list_alternatives(own: Collection[Variant]) -> Iterator[Variant]:
    """List other tilings of the layers among kernels."""
    for variant in own:
        layer = variant.layer
        if layer is not None:
            for tiling in list_alternatives(layer.weight, layer.outputs):
                name = f"{variant.name}.{tiling.name}"
                yield dataclasses.replace(variant, name=name, tilings=(tiling,), optional=True)


def _modulation(architecture: int) -> Iterator[Variant]:
    folder = "masked_modulation"
    sizes = _integers("pixels", "channels", "x_pitch")
    for x in ("fp32", "fp16"):
        for layout in ("linear", "pixels"):
            moments = _pointers(p_x=x, p_mask=x, p_partial="fp32") | sizes | _integers("blocks")
            yield _make(architecture, folder, "masked_moments", (x, layout), moments, (layout,))
            affine = _pointers(p_x=x, p_mask=x, p_affine="fp32", p_out=x) | sizes | _integers("out_pitch")
            yield _make(architecture, folder, "apply_affine", (x, layout, layout), affine, (layout, layout))
    merge = _pointers(p_partial="fp32", p_affine="fp32") | _integers("blocks", "channels") | {"eps": "fp32"}
    yield _make(architecture, folder, "merge_moments", (), merge)


def _attention(architecture: int) -> Iterator[Variant]:
    sizes = _integers("pixels", "keys", "channels", "outputs", "query_pitch", "out_pitch") | {"scale": "fp32"}
    for x in ("fp32", "fp16"):
        pointers = _pointers(
            p_query=x, p_key=x, p_value=x, p_index="int32", p_count="int32", p_key_mask=x, p_out=x
        )  # fmt: skip
        for layout in ("linear", "pixels"):
            for block in (16, 32, 64, 128):
                parts = (x, layout, f"b{block}")
                yield _make(
                    architecture, "sparse_non_local", "sparse_non_local", parts, pointers | sizes, (layout, layout), x
                )


def _composition(architecture: int) -> Iterator[Variant]:
    sizes = _integers("pixels", "channels", "added_pitch") | {"low": "fp32", "high": "fp32"}
    for residual in ("fp32", "fp16"):
        pointers = _pointers(p_picture="fp32", p_residual=residual, p_mask=residual, p_out="fp32")
        for layout in ("linear", "pixels"):
            parts = ("fp32", residual, "fp32", layout)
            yield _make(architecture, "sparse_compose", "compose_pixels", parts, pointers | sizes, (layout,))


def _pointers(**types: str) -> dict[str, str]:
    return {name: _AT[element] for name, element in types.items()}


def _integers(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "i32")


def _make(
    architecture: int,
    folder: str,
    function: str,
    parts: tuple[str, ...],
    parameters: Mapping[str, str],
    layouts: tuple[str, ...] = (),
    multiplied: str = "",
) -> Variant:
    """Make a variant.

    `layouts` are the layouts of input and output; `multiplied` is the type that a kernel with matrix products
    multiplies.
    """
    return Variant(
        name=".".join((function, *parts)),
        module=f"spair.plugins.{folder}.kernel",
        function=function,
        parameters=parameters,
        layouts={name: layout.upper() for name, layout in zip(("IN", "OUT"), layouts, strict=False)},
        tilings=list_tilings(function, parts, architecture),
        tensor_cores={"fp16": "fp16", "int8": "int8"}.get(multiplied),  # type: ignore[arg-type]
    )
