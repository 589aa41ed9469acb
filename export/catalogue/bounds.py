"""Bounds on networks that are built of a file's shapes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

SPARE_PLACES = 64
"""Number of modules without weights that a network may have in front of one with weights."""
PLACES_PER_TENSOR = 4
"""Largest place in a sequence for each tensor of the network."""
LONGEST = 9
"""Digits of the longest place in a sequence."""
NUMBERS_PER_NUMBER = 4
"""Numbers in one new tensor for each number in the file, since masks and tables are made that no file holds."""
SPARE_NUMBERS = 1 << 24
"""Numbers that a new tensor may have in any case."""


def find_excess(state: Mapping[str, Tensor]) -> str | None:
    """Tell why no network is built of weights, or None.

    A sequence would be built of as many modules as the largest number in the names says, so one name could make a
    network of billions. An empty tensor can claim any width.
    """
    largest = PLACES_PER_TENSOR * len(state) + SPARE_PLACES
    for name, value in state.items():
        if value.numel() == 0:
            return f"its tensor {name} is empty"
        places = (place.replace("_", "") for place in re.findall(r"\d[\d_]*", name))  # int() skips underscores
        if any(len(place) > LONGEST or int(place) > largest for place in places):
            return f"its name {name} has a larger number than {len(state)} tensors explain"
    return None


class AllocationLimit(TorchDispatchMode):
    """Limit on the tensors made in a `with` block.

    A network whose shapes do not belong together can need the product of two widths of the file.
    """

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._limit = NUMBERS_PER_NUMBER * sum(value.numel() for value in state.values()) + SPARE_NUMBERS

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operator.

        Raises:
            ValueError: it is asked to make a tensor above the limit.
        """
        size = args[0] if args and isinstance(args[0], (list, tuple, torch.Size)) else ()
        if all(isinstance(side, int) for side in size) and math.prod(size) > self._limit:
            raise ValueError(f"its shapes ask for a tensor of {'x'.join(map(str, size))} numbers")
        return func(*args, **(kwargs or {}))
