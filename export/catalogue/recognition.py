"""Recognition of networks by their weights."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

from ...network.checkpoint import read_candidates, require_finite
from ...network.errors import CheckpointError
from ...network.files.choosing import Choice
from ...network.presets import PRESETS
from .bounds import AllocationLimit, find_excess
from .denoisers import DNCNN, FFDNET
from .known import Architecture, Known, State
from .library import has_library, list_library
from .prenet import PRENET
from .restormer import RESTORMER

OWN = (PRENET, RESTORMER, FFDNET, DNCNN)
"""Architectures that the package spandrel lacks, or confuses with another."""
LONGEST = 120
"""Characters of the longest reason."""


@dataclasses.dataclass(frozen=True)
class _Near:
    """Architecture that weights resemble."""

    name: str
    share: tuple[float, int]
    """Share and number of its telling names that the file has; the share is 2 where all are there and a detail differs.
    """
    reason: str
    """Words that say what differs."""


@functools.cache
def list_architectures() -> tuple[Architecture, ...]:
    """List all architectures in the order of trial."""
    return (*OWN, *list_library())


def recognise_network(checkpoint: Path, *, key: str | None = None) -> tuple[Known, Choice]:
    """Recognise the network of a checkpoint, and load its weights.

    No code of the file is run.

    Args:
        checkpoint: a file in any form that `read_state` takes.
        key: dotted name of the dictionary that holds the weights; None to find them.

    Returns:
        The network, in float32 and in the mode of evaluation, and the place in the file where its weights were found.

    Raises:
        CheckpointError: the file is unusable, or no architecture fits (the nearest one is named).
    """
    nearest = _Near("", (0.0, 0), "")
    names: list[str] = []
    for choice in read_candidates(checkpoint, key=key):
        names = names or [choice.prefix + name for name in choice.tensors]
        for architecture in list_architectures():
            found = _try(architecture, choice, checkpoint)
            if isinstance(found, Known):
                found.module.float().eval()
                return found, choice
            nearest = max(nearest, found, key=lambda near: near.share)
    raise CheckpointError(_describe_failure(checkpoint, names, nearest))


def _try(architecture: Architecture, choice: Choice, checkpoint: Path) -> Known | _Near:
    """Build a network of weights, or say what differs."""
    state = choice.tensors
    if not _detects(architecture, state):
        lacking = [name for name in architecture.tells if name not in state]
        has = len(architecture.tells) - len(lacking)
        share = (has / max(1, len(architecture.tells)), has)
        reason = f"whose weight {lacking[0]} it lacks" if lacking else "whose shapes differ"
        return _Near(architecture.name, share, reason)
    require_finite(state, checkpoint)
    reason = find_excess(state) or ""
    if not reason:
        try:
            with AllocationLimit(state):
                return architecture.build(state)
        except MemoryError:
            raise
        except Exception as error:  # shapes that do not belong together make a constructor raise any type
            reason = _shorten(error)
    return _Near(architecture.name, (2.0, 0), f"which it does not fit ({reason})")


def _detects(architecture: Architecture, state: State) -> bool:
    try:
        return architecture.detect(state)
    except (LookupError, ValueError, TypeError, AttributeError):  # it looks at shapes of weights that are not there
        return False


def _shorten(error: Exception) -> str:
    """Shorten an error of a constructor or of PyTorch's loading."""
    if isinstance(error, KeyError):
        return f"it lacks {error.args[0]}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    told = lines[1] if len(lines) > 1 and lines[0].endswith(":") else lines[0]
    told = told.rstrip(". ")
    return told if len(told) <= LONGEST else f"{told[:LONGEST].rpartition(' ')[0]} …"


def _describe_failure(checkpoint: Path, names: list[str], nearest: _Near) -> str:
    presets, count = ", ".join(PRESETS), len(list_architectures())
    near = f"the nearest is {nearest.name}, {nearest.reason}" if nearest.name else "none of them has any of its names"
    more = "" if has_library() else " (pip install 'spair-rt[networks]' for many more)"
    return (
        f"{checkpoint} is not a checkpoint of a SPAIR preset ({presets}) or of one of {count} known networks{more}: "
        f"its keys begin {', '.join(names[:3])}, and {near}; for another network, give its definition with --factory "
        "package.module:function"
    )
