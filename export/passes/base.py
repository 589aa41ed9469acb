"""Base of the graph passes."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

import onnx

from ...runtime.errors import UserError
from ..operators.table import DOMAIN, find_operator


@dataclass(frozen=True)
class PassResult:
    """Report of a pass."""

    modified: bool
    """Whether the pass changed the graph."""


class PassError(ValueError):
    """Refusal of a graph, before or after a pass."""


@contextlib.contextmanager
def refusing(work: str, advice: str) -> Iterator[None]:
    """Turn refusals of passes into errors for users.

    A graph of a bundle may be one that somebody else made, or edited.

    Args:
        work: what cannot be done, as "build an engine from graphs/fp32/model.onnx".
        advice: what to do about it.

    Raises:
        UserError: a pass in the body refused a graph; the sentence names the node.
    """
    try:
        yield
    except PassError as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise UserError(f"cannot {work}: {reason}; {advice}") from error


Result = TypeVar("Result", bound=PassResult)


class GraphPass(abc.ABC, Generic[Result]):
    """Rewriting of a graph in place, verified before and after.

    A pass states in `requires` what it needs of a graph, and in `ensures` what holds for the graph that it leaves. Both
    raise PassError with the reason, and the message of the error that reaches the caller begins with the pass's name.
    Before and after every change the base verifies by itself that each `spair` node has the inputs that its operator
    takes, and after it that the graph is valid ONNX, and that its inputs and outputs have the names and types that
    `expect_outside` says, by default those of before.

    A pass that reports `modified=False` has left the graph as it was. A graph whose pass raised may be half rewritten,
    so it is of no further use.
    """

    infers_types: ClassVar[bool] = False
    """Whether validity includes the types and shapes that ONNX infers; this takes several times as long."""

    def __call__(self, model: onnx.ModelProto) -> Result:
        """Rewrite a graph in place.

        Raises:
            PassError: the graph does not meet the pass's requirements, or the rewritten graph is wrong.
        """
        with self._named("cannot take this graph"):
            _check_operators(model)
            self.requires(model)
        outside = _list_outside(model.graph)
        with self._named("cannot rewrite this graph"):
            result = self.rewrite(model)
        if result.modified:
            with self._named("made a wrong graph"):
                _check_valid(model, self.infers_types)
                _check_outside(self.expect_outside(outside), _list_outside(model.graph))
                _check_operators(model)
                self.ensures(model)
        return result

    def requires(self, model: onnx.ModelProto) -> None:
        """Raise PassError unless the pass can take a graph.

        By default it takes every valid graph.
        """

    @abc.abstractmethod
    def rewrite(self, model: onnx.ModelProto) -> Result:
        """Rewrite a graph in place, without verification."""

    def expect_outside(self, before: list[tuple[str, int]]) -> list[tuple[str, int]]:
        """Return the expected inputs and outputs of a rewritten graph.

        By default they are those of before.

        Args:
            before: name and ONNX element type of each input, then of each output.
        """
        return before

    def ensures(self, model: onnx.ModelProto) -> None:
        """Raise PassError unless the pass's own promises hold.

        The base has verified its share before.
        """

    @contextlib.contextmanager
    def _named(self, stage: str) -> Iterator[None]:
        """Put the pass's name before the reason of a PassError."""
        try:
            yield
        except PassError as error:
            raise PassError(f"{type(self).__name__} {stage}: {error}") from error


def _check_valid(model: onnx.ModelProto, infers_types: bool) -> None:
    try:
        onnx.checker.check_model(model, full_check=infers_types)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise PassError(f"it is not valid ONNX: {error}") from error


def _list_outside(graph: onnx.GraphProto) -> list[tuple[str, int]]:
    """List a graph's inputs and outputs with their types."""
    return [(value.name, value.type.tensor_type.elem_type) for value in (*graph.input, *graph.output)]


def _check_outside(before: list[tuple[str, int]], after: list[tuple[str, int]]) -> None:
    if before != after:
        changed = sorted({name for name, _ in {*before} ^ {*after}}) or [name for name, _ in after]
        raise PassError(f"its inputs and outputs have other names, types or places than expected: {', '.join(changed)}")


def _check_operators(model: onnx.ModelProto) -> None:
    defined = {function.name for function in model.functions if function.domain == DOMAIN}
    for node in model.graph.node:
        if node.domain != DOMAIN:
            continue
        what, operator = f"{node.op_type} {node.output[0]}", find_operator(node.domain, node.op_type)
        if operator is None:
            raise PassError(f"{what} is not an operator of the domain {DOMAIN}")
        if len(node.input) != len(operator.inputs):
            names = ", ".join(part.name for part in operator.inputs)
            raise PassError(f"{what} has {len(node.input)} inputs, expected {len(operator.inputs)}: {names}")
        if defined and node.op_type not in defined:
            raise PassError(f"{what} has no function body, but other operators of the graph have one")
