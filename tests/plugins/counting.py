"""Counting of what interpreted kernels load, store and multiply, to compare it with the counted cost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from triton.runtime.interpreter import interpreter_builder

from spair.plugins.cost import Launch, NumberType

NUMBER_TYPES: dict[str, NumberType] = {"float32": "fp32", "float16": "fp16", "int8": "int8"}
"""Number type by NumPy's name."""


class Counter:
    """Work that launches did, to be compared with the `Launch` of the same name."""

    def __init__(self) -> None:
        self.loaded: set[int] = set()
        self.stored: set[int] = set()
        self.products = self.exponentials = 0

    def launch(self, name: str, kind: NumberType = "fp32") -> Launch:
        return Launch(name, len(self.loaded), len(self.stored), self.products, kind, self.exponentials)


@contextmanager
def counting() -> Iterator[Counter]:
    """Count in the interpreter: addresses of bytes, factors of matrix products."""
    counter = Counter()

    def addresses(pointers, mask, size: int) -> set[int]:
        at = np.unique(np.broadcast_to(pointers.data, mask.data.shape)[mask.data.astype(bool)])
        return {int(byte) for byte in (at[:, None] + np.arange(size, dtype=at.dtype)).ravel()}

    def masked_load(pointers, mask, *rest):
        counter.loaded |= addresses(pointers, mask, pointers.get_element_ty().primitive_bitwidth // 8)
        return whole["create_masked_load"](pointers, mask, *rest)

    def masked_store(pointers, value, mask, *rest):
        counter.stored |= addresses(pointers, mask, value.dtype.primitive_bitwidth // 8)
        return whole["create_masked_store"](pointers, value, mask, *rest)

    def atomic_rmw(operation, pointers, value, mask, *rest):
        counter.loaded |= addresses(pointers, mask, 4)
        counter.stored |= addresses(pointers, mask, 4)
        return whole["create_atomic_rmw"](operation, pointers, value, mask, *rest)

    def dot(a, b, *rest):
        counter.products += a.data.shape[0] * a.data.shape[1] * b.data.shape[1]
        return whole["create_dot"](a, b, *rest)

    def exp2(value):
        counter.exponentials += value.data.size
        return whole["create_exp2"](value)

    counts = {
        "create_masked_load": masked_load,
        "create_masked_store": masked_store,
        "create_atomic_rmw": atomic_rmw,
        "create_dot": dot,
        "create_exp2": exp2,
    }
    whole = {name: getattr(interpreter_builder, name) for name in counts}
    with pytest.MonkeyPatch.context() as patch:
        for name, count in counts.items():
            patch.setattr(interpreter_builder, name, count)
        yield counter


def pick(launches: tuple[Launch, ...], name: str) -> Launch:
    (launch,) = (launch for launch in launches if launch.name == name)
    return launch
