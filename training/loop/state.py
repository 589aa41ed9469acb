"""The resumable state of a run: written in one step, and resumed only under the configuration that it was made with."""

from __future__ import annotations

import dataclasses
import os
import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins import TorchCheckpointIO
from pydantic import ValidationError

from ...runtime.errors import UserError
from ...runtime.files import replace_atomically
from ..config import TrainingConfig

STATE = Path("state") / "last.ckpt"
"""Where, inside a run's folder, the trainer's own state lies."""

MAY_CHANGE = ("schedule.validate_every", "hardware.", "log.", "data.roots.")
"""Beginnings of keys that say how a run is computed and looked at, and where its data lies.

A change of any other key makes it another run from there on."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Replaces the state in one step: a run killed while saving, or left without power, still has the previous one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write beside `path`, then rename."""
        with replace_atomically(Path(path)) as temporary:
            super().save_checkpoint(checkpoint, temporary, storage_options)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())  # otherwise the name may reach the disk before the contents


@dataclasses.dataclass(frozen=True)
class State:
    """How far a run is; saved at the end of each epoch."""

    stage: int
    """The stage it is in, from 0."""
    steps: int
    """Optimizer steps done of that stage."""
    epochs: int
    """Epochs done of that stage; the last one may be shorter than the others."""
    config: dict[str, Any]
    """The configuration it ran under, as JSON."""
    callbacks: dict[str, dict[str, Any]]
    """The state of each callback, by the name of its class."""


def read_state(path: Path) -> State | None:
    """How far the run is whose state lies at `path`; None where it has not saved any.

    Raises:
        UserError: the file is damaged or no state of a run.
    """
    if not path.is_file():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        run = content["hyper_parameters"]
        return State(run["stage"], content["global_step"], content["epoch"] + 1, run["config"], content["callbacks"])
    except (RuntimeError, pickle.UnpicklingError, EOFError, LookupError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"the run cannot be resumed: its state {path} is damaged ({reason}); "
            "remove that file to train from the start"
        ) from error


def check_unchanged(config: TrainingConfig, state: State, path: Path) -> None:
    """Refuse to continue a run as another one: `MAY_CHANGE` may differ, and what it has not begun.

    That is the stages to come, of which there may be more or fewer, and how many steps the present one takes.

    Raises:
        UserError: naming the first key that differs, with both values.
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
    """With the defaults of options that did not exist when it was saved; as it is where it is no longer valid."""
    try:
        return TrainingConfig.model_validate(saved).model_dump(mode="json")
    except ValidationError:
        return saved


def _flatten(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}, "c": [{"d": 2}]} -> {"a.b": 1, "c.0.d": 2}; lists of values stay whole."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, (list, tuple)) and any(isinstance(part, dict) for part in value):
            value = {str(index): part for index, part in enumerate(value)}
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
