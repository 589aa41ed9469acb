"""Opening of a model in a child process."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np

from ....runtime import Restorer, Result
from ....runtime.engine.choice import TENSORRT
from ....runtime.engine.opening import SLOTS
from ...options import ModelOptions

OPENER = f"{__name__}:open_restorer"
"""Import path of the function that opens models, unless a server is given another."""
WARM_SIZES = ((64, 64), (41, 97))
"""Heights and widths of the pictures that are restored before a model counts as ready."""


class Restoring(Protocol):
    """Part of a `Restorer` that a child process needs."""

    backend: str
    facts: Mapping[str, str]

    @property
    def scale(self) -> int:
        """Factor from a picture's sides to its result's."""
        ...

    def __call__(self, image: np.ndarray, *, threshold: float | str | None = None) -> Result:
        """Restore one picture, at a threshold of its mask."""
        ...


def open_restorer(path: str, options: ModelOptions) -> Restoring:
    """Open a bundle, a served graph, or shipped weights.

    Args:
        path: see `Restorer.open`.
        options: how it is opened.

    Raises:
        UserError, EngineError: see `Restorer.open`.
    """
    return Restorer.open(
        path,
        backend=options.backend,
        precision=options.precision,
        threads=options.threads,
        tile=options.tile,
        trust_code=options.trust_code,
        expect_digest=options.expect_digest,
        flips=options.flips,
    )


def find_opener(name: str) -> Callable[[str, ModelOptions], Restoring]:
    """Import the function that opens models.

    Args:
        name: "package.module:function"; the function is like `open_restorer`.
    """
    module, _, function = name.partition(":")
    opener: Callable[[str, ModelOptions], Restoring] = getattr(importlib.import_module(module), function)
    return opener


def count_lanes(restorer: Restoring, options: ModelOptions) -> int:
    """Return the number of pictures computed at a time.

    Engines have slots. Elsewhere one picture uses all cores, and a second one would only take its memory.
    """
    return (options.threads or SLOTS) if restorer.backend == TENSORRT else 1


def warm(restorer: Restoring, lanes: int) -> None:
    """Restore small pictures of noise.

    As many are restored at a time as there are lanes. Memory, kernels and captured graphs are then made before the
    first request.

    Raises:
        UserError, GateError, EngineError: see `Restorer`.
    """
    noise = np.random.default_rng(0)
    pictures = [noise.integers(0, 256, (*size, 3), np.uint8) for size in WARM_SIZES for _ in range(lanes)]
    with ThreadPoolExecutor(lanes) as pool:
        for _ in pool.map(restorer, pictures):
            pass
