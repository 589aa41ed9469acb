"""Resumable state of a run.

It is written in one step, and a run resumes only under the configuration that it was started with.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins import TorchCheckpointIO
from pydantic import ValidationError

from ...runtime.errors import UserError
from ...runtime.files import replace_atomically
from ..config import TrainingConfig

STATE = Path("state") / "last.ckpt"
"""Path of the trainer's state inside a run's folder."""

MAY_CHANGE = ("schedule.validate_every", "hardware.", "log.", "data.roots.")
"""Beginnings of the configuration keys that may change when a run resumes.

They say how a run is computed and displayed, and where its data lies. Any other change would make it a different run
from there on.
"""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoint writer that replaces the state in one step.

    A run that is killed while it saves, or loses power, still has the previous state.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write beside `path`, then rename."""
        with replace_atomically(Path(path)) as temporary:
            super().save_checkpoint(checkpoint, temporary, storage_options)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())  # otherwise the name may reach the disk before the contents


@dataclasses.dataclass(frozen=True)
class State:
    """Progress of a run, saved after each epoch."""

    stage: int
    """Present stage, counted from 0."""
    steps: int
    """Optimizer steps done in that stage."""
    epochs: int
    """Epochs done in that stage; the last one may be shorter than the others."""
    config: dict[str, Any]
    """Configuration of the run, as JSON."""
    callbacks: dict[str, dict[str, Any]]
    """State of each callback, by the name of its class."""


def read_run_state(path: Path) -> State | None:
    """Read the progress of a run.

    Returns:
        The state at `path`, or None if the run has not saved one.

    Raises:
        UserError: the file is damaged or not the state of a run.
    """
    if not path.is_file():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        run = content["hyper_parameters"]
        numbers = run["stage"], content["global_step"], content["epoch"]
        if not all(isinstance(number, int) for number in numbers) or not isinstance(run["config"], dict):
            raise TypeError("it has no numbers of stage, step and epoch, or no configuration")
        return State(run["stage"], content["global_step"], content["epoch"] + 1, run["config"], content["callbacks"])
    except MemoryError:
        raise
    except Exception as error:  # a damaged file makes PyTorch's readers raise almost any type
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"the run cannot be resumed: its state {path} is damaged ({reason}); "
            "remove that file to train from the start"
        ) from error


def check_unchanged(config: TrainingConfig, state: State, path: Path) -> None:
    """Check that a run resumes under its own configuration.

    These may differ: the keys of `MAY_CHANGE`, the stages to come, of which there may be more or fewer, and the number
    of steps of the present stage.

    Raises:
        UserError: another key differs; the message names the first one with both values.
    """
    saved, given = _flatten(_complete(state.config)), _flatten(config.model_dump(mode="json"))
    begun = tuple(f"stages.{index}." for index in range(state.stage + 1))
    for key in sorted(saved.keys() | given.keys(), key=[*given, *saved].index):
        free = key.startswith(MAY_CHANGE) or key == f"stages.{state.stage}.steps"
        free = free or (key.startswith("stages.") and not key.startswith(begun))
        if not free and saved.get(key) != given.get(key):
            raise UserError(
                f"the run cannot be resumed under another configuration: {key} is {given.get(key)!r}, but {path} was "
                f"trained with {saved.get(key)!r}; set it back, or choose another name for a new run"
            )
    if (steps := config.stages[state.stage].steps) < state.steps:
        raise UserError(
            f"the run cannot be resumed: stages.{state.stage}.steps is {steps}, but {path} was trained for "
            f"{state.steps} steps of that stage already; give as many or more"
        )


def _complete(saved: dict[str, Any]) -> dict[str, Any]:
    """Add the defaults of options newer than the configuration.

    A configuration that is no longer valid is returned as it is.
    """
    try:
        return TrainingConfig.model_validate(saved).model_dump(mode="json")
    except ValidationError:
        return saved


def _flatten(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested tables into dotted keys.

    {"a": {"b": 1}, "c": [{"d": 2}]} becomes {"a.b": 1, "c.0.d": 2}; lists of values stay whole.
    """
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, (list, tuple)) and any(isinstance(part, dict) for part in value):
            value = {str(index): part for index, part in enumerate(value)}
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
