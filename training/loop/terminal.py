"""Output of a run on the terminal."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bars

from ...runtime.clock import CountProgress
from ..config import TrainingConfig
from ..data.corpus import Corpus
from .state import State

REFRESHES = 4
"""Refreshes of the progress bar per second.

The trainer's default of 100 would take a good part of the time of a core that trains.
"""


class StageBar(RichProgressBar):
    """Trainer's progress bar with the name of the stage."""

    def __init__(self, config: TrainingConfig, stage: int) -> None:
        """Set the stage, counted from 0."""
        super().__init__(refresh_rate=REFRESHES)
        self._stage = name_stage(config, stage)

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """Return the values beside the bar.

        They are the logged values without the number of the log's folder.
        """
        shown = super().get_metrics(trainer, pl_module)
        return {name: value for name, value in shown.items() if name != "v_num"}

    def _get_train_description(self, current_epoch: int) -> str:
        return f"{self._stage}, epoch {current_epoch + 1} of {self.trainer.max_epochs}"


def name_stage(config: TrainingConfig, stage: int) -> str:
    """Name a stage, as "stage 2 of 3 (net_r)".

    `stage` counts from 0.
    """
    return f"stage {stage + 1} of {len(config.stages)} ({config.stages[stage].train})"


def say(words: str) -> None:
    """Print a line on stderr, in the first process only.

    Names in it are of files, so what does not print is written as escapes.
    """
    if is_first():
        visible = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in words)
        print(visible, file=sys.stderr, flush=True)


def is_first() -> bool:
    """Tell whether this process prints for a distributed run."""
    return not rank_zero_only.rank  # type: ignore[attr-defined]


def describe_start(config: TrainingConfig, corpus: Corpus, state: State | None) -> str:
    """Describe the pictures and the first step of a run."""
    held = len(corpus.held_out) + len(corpus.held_out_masked)
    kinds = (
        (len(corpus.pairs), "pair", "pairs"),
        (len(corpus.photos), "clean photograph", "clean photographs"),
        (len(corpus.masked), "photograph with its mask", "photographs with masks"),
    )
    parts = [f"{count} {one if count == 1 else more}" for count, one, more in kinds if count]
    begun = "starting" if state is None else f"continuing after step {state.steps} of {name_stage(config, state.stage)}"
    return f"training on {', '.join(parts)}; {held or 'none'} held out; {begun}"


@contextlib.contextmanager
def counting_pictures(shown: bool) -> Iterator[CountProgress | None]:
    """Show a bar on stderr while pictures are read.

    Yields:
        The callback to call after each picture, or None where the bar is not shown.
    """
    if not (shown and is_first()):
        yield None
        return
    columns = (TextColumn("reading pictures"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("", total=None)
        yield lambda done, total, name: bars.update(
            task, completed=done, total=total, description=name.replace("[", r"\[")
        )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the trainer's remarks from the terminal.

    They are advertisements, and advice that this code has taken or declined. Real problems are exceptions.
    """
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
