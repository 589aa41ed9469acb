"""Checks of requests, before any of them waits."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...runtime import UserError
from ...runtime.bounds.thresholds import check_threshold
from ..contract import FORMATS, FREE, Contract, TensorSpec
from ..errors import BadRequestError, TooLargeError
from ..options import Limits
from ..tensors import BYTES, Tensor
from .messages import InferRequest


def check_request(request: InferRequest, contract: Contract, limits: Limits) -> Tensor:
    """Check a request against a model's contract.

    Args:
        request: the request.
        contract: inputs and outputs of the model that it names.
        limits: bounds of the server.

    Returns:
        The model's only input.

    Raises:
        BadRequestError: an input is missing, unknown, or given twice, or has another type or shape than the model's; an
            output is unknown or asked for twice; the parameter `format` or `threshold` is none.
        TooLargeError: the request has more pictures or pixels than the server takes.
    """
    _check_names(request.model, "input", [one.name for one in request.inputs], [spec.name for spec in contract.inputs])
    _check_names(request.model, "output", request.outputs, [spec.name for spec in contract.outputs])
    for spec in contract.inputs:
        if not any(one.name == spec.name for one in request.inputs):
            raise BadRequestError(f"the request has no input {spec.name}, which the model {request.model} needs")
    spec, tensor = contract.inputs[0], request.inputs[0]
    if tensor.datatype != spec.datatype:
        raise BadRequestError(f"the input {spec.name} is {tensor.datatype}, expected {spec.datatype}")
    _check_shape(tensor, spec)
    _check_threshold(request)
    if spec.datatype == BYTES:
        _check_format(request)
    else:
        _check_pixels(tensor, limits)
    return tensor


def _check_names(model: str, what: str, given: Sequence[str], known: Sequence[str]) -> None:
    verb = "takes" if what == "input" else "gives"
    for name in given:
        if name not in known:
            raise BadRequestError(f"there is no {what} {name!r}; the model {model} {verb} {', '.join(known)}")
    twice = next((name for place, name in enumerate(given) if name in given[:place]), None)
    if twice is not None:
        raise BadRequestError(f"the {what} {twice} stands in the request twice; name it once")


def _check_shape(tensor: Tensor, spec: TensorSpec) -> None:
    fits = len(tensor.shape) == len(spec.shape) and all(
        expected in (FREE, size) for size, expected in zip(tensor.shape, spec.shape, strict=True)
    )
    if not fits:
        raise BadRequestError(
            f"the input {spec.name} has the shape {list(tensor.shape)}, expected {_write_shape(spec.shape)}"
        )
    if 0 in tensor.shape:
        raise BadRequestError(
            f"the input {spec.name} has the shape {list(tensor.shape)}, expected at least one picture of one pixel"
        )


def _write_shape(shape: Sequence[int]) -> str:
    """Write a shape with letters for free sizes."""
    letters = "NCHW"
    return f"[{', '.join(letters[place] if size == FREE else str(size) for place, size in enumerate(shape))}]"


def _check_pixels(tensor: Tensor, limits: Limits) -> None:
    count, _, height, width = tensor.shape
    if count > limits.pictures:
        raise TooLargeError(
            f"the input {tensor.name} has {count} pictures, this server takes at most {limits.pictures} in a request; "
            "send them in several"
        )
    pixels = math.prod((count, height, width))
    if pixels > limits.pixels:
        raise TooLargeError(
            f"the input {tensor.name} has {pixels} pixels ({count} of {height}x{width}), this server takes at most "
            f"{limits.pixels} in a request; send fewer or smaller pictures"
        )


def _check_threshold(request: InferRequest) -> None:
    if "threshold" not in request.parameters:
        return
    try:
        check_threshold(request.parameters["threshold"])
    except UserError as error:
        raise BadRequestError(f"in the parameter threshold, {error}") from error


def _check_format(request: InferRequest) -> None:
    form = request.parameters.get("format", FORMATS[0])
    if form not in FORMATS:
        raise BadRequestError(f"the parameter format is {form!r}, expected {' or '.join(FORMATS)}")
