"""Exported graph beside its lean form."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import numpy as np

from ...runtime.backends.onnxruntime import OnnxGraph
from .measures import ModuleParity


class BothForms:
    """Session of a written graph, held to its lean form.

    The backend of ONNX Runtime computes the lean form, and other programs compute the file. Every run takes both, and
    counts the values that are not equal.
    """

    def __init__(self, file: Path, result: ModuleParity) -> None:
        """Open both forms.

        Args:
            file: the .onnx file.
            result: takes the number of unequal values.
        """
        self._result = result
        with contextlib.ExitStack() as opened:
            self._written = opened.enter_context(OnnxGraph(file, as_written=True))
            self._lean = opened.enter_context(OnnxGraph(file))
            self._opened = opened.pop_all()

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs of the graph as it is written."""
        written, lean = self._written.run(feeds), self._lean.run(feeds)
        for name, value in written.items():
            same = (value == lean[name]) | ((value != value) & (lean[name] != lean[name]))  # NaN equals nothing
            self._result.unlike += int(np.size(same) - np.count_nonzero(same))
        return written

    def __enter__(self) -> BothForms:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()
