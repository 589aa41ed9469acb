"""Table of the `spair` operators and their forms.

A form is a variant of an operator under a name of its own: it takes INT8 values, quantizes what it reads, or adds a
residual. All code that must know an input's position, a type or a form reads this table. The meaning of each operator
is in `bodies`, and its reference and plugin are in the folder `plugins/`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

DOMAIN = "spair"
"""ONNX domain of the operators."""

ElementType = Literal["float", "float32", "int8", "int32"]
"""Type of a tensor's values. "float" is FP32 or FP16: all inputs of one node that have it share one type."""
Gives = Literal["float", "int8", "both"]
"""Types of an operator's outputs. "both" are two outputs of the same numbers, the INT8 one last."""
Role = Literal["feature", "mask", "weight", "list"]
"""Purpose of an input. Weights, biases and scales are constants of the graph, and all three are called "weight"; a
"list" is an output of SparseIndex."""


@dataclass(frozen=True)
class Input:
    """Input of an operator."""

    name: str
    type: ElementType = "float"
    role: Role = "feature"


@dataclass(frozen=True)
class Operator:
    """Operator of the domain `spair`, or one form of it."""

    name: str
    inputs: tuple[Input, ...]
    """Inputs in their order; every node gives all of them."""
    attributes: tuple[str, ...]
    """Names of the attributes that the function body reads."""
    family: str
    """Name of the operator that this is a form of, or its own name."""
    mask: str | None = None
    """Name of the mask outside which the output is zero. None: clean pixels have values too."""
    active_inputs: tuple[str, ...] = ()
    """Names of the inputs that are read at pixels of `mask` only. `x` is read at clean neighbours too where the
    attribute `clean_input` is 1."""
    int8_form: str | None = None
    """Name of the form that takes `x` and `weight` in INT8."""
    residual_form: str | None = None
    """Name of the form that adds a residual, its last input, before the output is masked."""
    quantizing_form: str | None = None
    """Name of the form that takes `x` as a float and quantizes it with `x_scale`, instead of an INT8 `x`."""
    listed_form: str | None = None
    """Name of the form that takes the list of active pixels, packed weights and multiplied scales."""
    coarse_form: str | None = None
    """Name of the form whose residual is one of half the size, `coarse`, with its four positions in the channels."""
    joined_form: str | None = None
    """Name of the form whose `x` lacks the last channels, which are those of its last input, `joined`."""
    gives: Gives = "float"
    """Types of the outputs."""
    int8_output_form: str | None = None
    """Name of the form that quantizes its output with the attribute `out_scale`."""
    both_outputs_form: str | None = None
    """Name of the form that gives its output as it is, and then quantized."""
    fed_form: str | None = None
    """Name of the form that takes as INT8 the `x` that this one quantizes."""
    in_bundles: bool = True
    """Whether graphs of a bundle use it; the other forms are made when an engine is built."""
    full_precision: bool = False
    """Whether calibration keeps it in FP32. Sums over many pixels and exponentials overflow or vanish in FP16."""
    domain: str = DOMAIN

    def position(self, name: str) -> int:
        """Return the position of an input.

        Raises:
            ValueError: the operator has no such input.
        """
        names = [part.name for part in self.inputs]
        if name not in names:
            raise ValueError(f"{self.name} has no input {name!r}; its inputs are {', '.join(names)}")
        return names.index(name)

    def has_input(self, name: str) -> bool:
        """Return whether the operator has an input of that name."""
        return any(part.name == name for part in self.inputs)

    def type_of(self, name: str) -> ElementType:
        """Return the type of an input."""
        return self.inputs[self.position(name)].type

    def positions_of(self, role: Role) -> tuple[int, ...]:
        """Return the positions of all inputs with a role."""
        return tuple(place for place, part in enumerate(self.inputs) if part.role == role)


CHANNELS = "channels"
"""Attribute of convolutions that take packed weights: channels of x, fewer than the weights have with their padding."""
JOINED = "joined_channels"
"""Attribute of convolutions with joined channels: how many there are; only the compiler of kernels reads it."""
OUT_SCALE = "out_scale"
"""Attribute of convolutions that quantize their output: value of a step."""
INDEX = "SparseIndex"
"""Name of the operator that lists active pixels."""
_MASK = Input("mask", role="mask")
_INDEX, _TAPS, _COUNT = (Input(name, "int32", "list") for name in ("index", "taps", "count"))
_RESIDUAL, _COARSE, _JOINED = Input("residual"), Input("coarse"), Input("joined")
_FLOAT = (Input("x"), _MASK, Input("weight", role="weight"), Input("bias", role="weight"))
_QUANTIZE = (
    Input("x"),
    _MASK,
    Input("weight", "int8", "weight"),
    Input("bias", role="weight"),
    Input("x_scale", "float32", "weight"),
    Input("weight_scale", "float32", "weight"),
)
_INT8 = (Input("x", "int8"), *_QUANTIZE[1:])
_ATTENTION = (
    Input("query"),
    Input("key"),
    Input("value"),
    Input("query_mask", role="mask"),
    Input("key_mask", role="mask"),
)


_ATTRIBUTES = ("pads", "negative_slope", "clean_input")
_LISTED = "Listed"
"""End of the names of listed forms."""
_UP = "Up"
"""Part of the names of forms with a coarse residual, behind "Add"."""
_JOIN = "Join"
"""Part of the names of forms with joined channels, before "Listed"."""
_GIVES: dict[Gives, str] = {"float": "", "int8": "ToInt8", "both": "ToBoth"}
"""Parts of the names of listed forms before "Listed", by the types of their outputs."""
_PACKED = {"weight": "packed", "weight_scale": "scale"}
"""Names of inputs that listed forms get in another form."""


_JOINABLE = ("SparseConv2d" + _LISTED, "SparseConv2dQuantize" + _LISTED)
"""Names of the forms whose input channels may come from two tensors."""


def _convolution(name: str, inputs: tuple[Input, ...], attributes: tuple[str, ...] = (), **facts: Any) -> Operator:
    """Make the record of a form of SparseConv2d.

    Forms that quantize their output are made last of all, so they have no further forms.
    """
    listed = name.endswith(_LISTED)
    return Operator(
        name,
        inputs,
        attributes=(*_ATTRIBUTES, *attributes),
        family="SparseConv2d",
        mask="mask",
        active_inputs=("x", "residual") if _RESIDUAL in inputs else ("x",),
        listed_form=None if listed else name + _LISTED,
        coarse_form=name.replace("Add", "Add" + _UP) if listed and _RESIDUAL in inputs else None,
        joined_form=name.replace(_LISTED, _JOIN + _LISTED) if name in _JOINABLE else None,
        **facts,
    )


def _list_convolution(name: str, inputs: tuple[Input, ...], gives: Gives) -> Operator:
    """Make the record of a form that takes a list.

    Args:
        name: name of the form without it.
        inputs: inputs of that form; a residual or joined channels come last.
        gives: types of the outputs.
    """
    last = tuple(part for part in inputs if part in (_RESIDUAL, _COARSE, _JOINED))
    own = tuple(replace(part, name=_PACKED.get(part.name, part.name)) for part in inputs if part not in last)
    slopes = ("sum_slope",) if last and _JOINED not in last else ()
    record = _convolution(name + _LISTED, (*own, _INDEX, _TAPS, _COUNT, *last), slopes, in_bundles=False)
    forms = {kind: name + part + _LISTED for kind, part in _GIVES.items()}
    if gives != "float":
        attributes = (*record.attributes, OUT_SCALE)
        return replace(
            record, name=forms[gives], attributes=attributes, coarse_form=None, joined_form=None, gives=gives
        )
    fed = name.replace("Quantize", "Int8") + _LISTED if "Quantize" in name and _JOINED not in last else None
    return replace(record, int8_output_form=forms["int8"], both_outputs_form=forms["both"], fed_form=fed)


OPERATORS = (
    _convolution("SparseConv2d", _FLOAT, int8_form="SparseConv2dInt8", residual_form="SparseConv2dAdd"),
    _convolution(
        "SparseConv2dInt8", _INT8, residual_form="SparseConv2dInt8Add", quantizing_form="SparseConv2dQuantize"
    ),
    _convolution("SparseConv2dQuantize", _QUANTIZE, residual_form="SparseConv2dQuantizeAdd", in_bundles=False),
    _convolution("SparseConv2dAdd", (*_FLOAT, _RESIDUAL), int8_form="SparseConv2dInt8Add", in_bundles=False),
    _convolution(
        "SparseConv2dInt8Add", (*_INT8, _RESIDUAL), quantizing_form="SparseConv2dQuantizeAdd", in_bundles=False
    ),
    _convolution("SparseConv2dQuantizeAdd", (*_QUANTIZE, _RESIDUAL), in_bundles=False),
    *(
        _list_convolution("SparseConv2d" + name, inputs, gives)
        for gives in _GIVES
        for name, inputs in (
            ("", _FLOAT),
            ("Int8", _INT8),
            ("Quantize", _QUANTIZE),
            ("Add", (*_FLOAT, _RESIDUAL)),
            ("Int8Add", (*_INT8, _RESIDUAL)),
            ("QuantizeAdd", (*_QUANTIZE, _RESIDUAL)),
            ("AddUp", (*_FLOAT, _COARSE)),
            ("Int8AddUp", (*_INT8, _COARSE)),
            ("QuantizeAddUp", (*_QUANTIZE, _COARSE)),
            (_JOIN, (*_FLOAT, _JOINED)),
            ("Quantize" + _JOIN, (*_QUANTIZE, _JOINED)),
        )
    ),
    Operator(
        "MaskedModulation", (Input("x"), _MASK), attributes=("eps",), family="MaskedModulation", full_precision=True
    ),
    Operator(
        "SparseNonLocal",
        _ATTENTION,
        attributes=("scale",),
        family="SparseNonLocal",
        mask="query_mask",
        active_inputs=("query",),
        listed_form="SparseNonLocalListed",
        full_precision=True,
    ),
    Operator(
        "SparseNonLocalListed",
        (*_ATTENTION, _INDEX, _COUNT),
        attributes=("scale",),
        family="SparseNonLocal",
        mask="query_mask",
        active_inputs=("query",),
        in_bundles=False,
        full_precision=True,
    ),
    Operator(
        "SparseCompose",
        (Input("picture", "float32"), _RESIDUAL, _MASK),
        attributes=("low", "high"),
        family="SparseCompose",
        in_bundles=False,
    ),
    Operator(INDEX, (_MASK,), attributes=(), family=INDEX, in_bundles=False),
)
"""All operators and forms, in the order of their families."""

BY_NAME = MappingProxyType({operator.name: operator for operator in OPERATORS})
"""Operator of each name."""


def find_operator(domain: str, name: str) -> Operator | None:
    """Return the operator of a domain and type, or None."""
    return BY_NAME.get(name) if domain == DOMAIN else None
