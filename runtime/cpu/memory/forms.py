"""Forms of values in memory."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

import numpy as np

from ..library import Library, ThreadPool
from ..library.structures import Results, Rounding
from .buffers import Use

_NUMBERS = {"f32": 0, "i8": 1, "bf16": 2}
"""Numbers of the forms in plugins/cpu/numbers.h."""


@dataclass(frozen=True)
class Form:
    """Form in which a layer reads values."""

    kind: str
    """Kind of numbers, "f32", "i8" or "bf16", as in the names of the kernels."""
    step: float = 0.0
    """Value of one step of int8."""


Value = tuple[str, Form]
"""Name of a value, and one of its forms."""
FLOAT, HALF = Form("f32"), Form("bf16")


def choose_form(step: float, *, halves: bool) -> Form:
    """Return the form that a layer reads.

    Args:
        step: value of one step of int8, or 0.
        halves: whether other layers read bfloat16 in place of float32.
    """
    return Form("i8", step) if step else HALF if halves else FLOAT


@dataclass(frozen=True)
class Plan:
    """Forms of one value by how they are made."""

    floats: bool
    """Whether float32 is made."""
    fused: Form | None
    """Form that the step makes as well, or alone."""
    later: tuple[Form, ...]
    """Forms that are rounded from float32 afterwards."""

    def list_uses(self, reads: tuple[Hashable, ...], out: str, pool: int, replaces: Value | None = None) -> list[Use]:
        """List the buffers that a step needs.

        Args:
            reads: values that it reads, each a name and a form.
            out: name of its value.
            pool: pool of the float32 values.
            replaces: value that a new one of its form may replace.
        """
        uses = []
        if self.fused is not None:
            same = replaces if replaces is not None and replaces[1] == self.fused else None
            uses.append(Use(reads, (out, self.fused), (pool, "rounded"), same))
        if self.floats:
            uses.append(Use(reads, (out, FLOAT), pool, replaces))
        return uses + [Use(((out, FLOAT),), (out, form), (pool, "rounded")) for form in self.later]


@dataclass
class Wanted:
    """Forms that the readers of each value want."""

    forms: dict[str, list[Form]] = field(default_factory=dict)

    @classmethod
    def by(cls, reads: Iterable[tuple[str, Form]]) -> Wanted:
        """Collect what is read, by name."""
        wanted = cls()
        for name, form in reads:
            known = wanted.forms.setdefault(name, [])
            if form not in known:
                known.append(form)
        return wanted

    def plan(self, name: str, *, apart: bool = False) -> Plan:
        """Plan how the forms of a value are made.

        Args:
            name: the value.
            apart: make float32 first and round it afterwards.
        """
        forms = self.forms.get(name, [FLOAT])
        others = tuple(form for form in forms if form != FLOAT)
        if apart:
            return Plan(True, None, others)
        return Plan(FLOAT in forms or len(others) > 1, others[0] if others else None, others[1:])


def describe_results(floats: int | None, rounded: np.ndarray | int | None, form: Form | None) -> Results:
    """Describe where the results of a kernel go.

    Args:
        floats: address of the float32 values; None for none.
        rounded: the others, or their address; None for none.
        form: form of the others.
    """
    address = rounded.ctypes.data if isinstance(rounded, np.ndarray) else rounded
    if form is None:
        return Results(floats, None, 0.0, 0)
    return Results(floats, address, form.step, _NUMBERS[form.kind])


def round_values(library: Library, pool: ThreadPool, floats: np.ndarray, rounded: np.ndarray, form: Form) -> None:
    """Round values to another form.

    Args:
        library: the kernels.
        pool: threads that compute.
        floats: flat float32; up to a vector behind them is read.
        rounded: array of the form's type, of the same size; up to a vector behind it is written.
        form: any form but float32.
    """
    library.call("round_values", pool, describe_rounding(floats, rounded, form))


def describe_rounding(floats: np.ndarray, rounded: np.ndarray, form: Form) -> Rounding:
    """Describe the rounding of values, see `round_values`."""
    return Rounding(floats.ctypes.data, describe_results(None, rounded, form), floats.size)


def to_halves(values: np.ndarray) -> np.ndarray:
    """Round finite float32 to bfloat16.

    Returns:
        The bits, uint16.
    """
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
