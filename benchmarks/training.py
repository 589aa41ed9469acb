"""Measure training speed by mode, and its data supply.

Run from the repository root: `python -m benchmarks.training [--tasks rain,blur] [--data DIR] [--json]`. For each task
it takes the pictures, shares, batch and patch of the last stage of `training/configs/<task>-tiny.toml`, or made
pictures where the development data is absent. It measures, in turns within one run and each in a process of its own,
- steps per second (forward, backward, clipping, AdamW, averaging) in these modes:
  first: as the first version of the training did, every pixel in float32;
  packed: distorted pixels only where they are few (`hardware.packed_below`), and freed memory kept; the default of CPUs
      without matrix tiles;
  mixed: every pixel in mixed bfloat16, channels last, freed memory kept; measured on CPUs with matrix tiles only;
  packed mixed: both, the default of such CPUs;
- samples per second that one worker process delivers while nothing else computes.

Before anything is timed, all modes must give the same loss and gradients, as far as their precision goes. It exits 1
when they do not, or when one worker is slower than the steps. It takes about two minutes a task on two cores.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common.arguments import parse_count, parse_names
from benchmarks.subjects.training import (
    MIXED_TOLERANCE,
    TASKS,
    TOLERANCE,
    StepMode,
    Trainee,
    differ,
    load_task,
    make_corpus,
    time_steps,
)
from spair.runtime.errors import GateError
from spair.training.config import TrainingConfig
from spair.training.data.corpus import Corpus, load_corpus
from spair.training.data.patches import Sample
from spair.training.loop.cpu import has_matrix_tiles, keep_freed_memory
from spair.training.loop.module import PatchModule

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

FIRST = StepMode("first", keeps_memory=False)
MIXED = (StepMode("mixed", mixed=True), StepMode("packed mixed", packed=True, mixed=True))
MODES = (FIRST, StepMode("packed", packed=True), *(MIXED if has_matrix_tiles() else ()))


def find_corpus(config: TrainingConfig, data: Path) -> tuple[str, Corpus]:
    """Find the development images of the configuration.

    Where they are absent, pictures of the same size are made. Returns a name for the pictures, and the pictures.
    """
    if not data.is_dir():
        return "made pictures", make_corpus(config.task)
    return "development images", load_corpus(config.data, config.stages[0].patch)


def time_data(config: TrainingConfig, corpus: Corpus, seconds: float) -> tuple[float, list[Sample]]:
    """Measure the samples/s of a run's loader alone.

    Nothing else computes meanwhile. Returns them with the last batches.
    """
    batches = iter(PatchModule(config, corpus).train_dataloader())
    for _ in range(10):  # skip the worker's start and what it prepared meanwhile
        next(batches)
    kept: list[Sample] = []
    done, elapsed, started = 0, 0.0, time.perf_counter()
    while elapsed < seconds:
        kept = [*kept[-15:], Sample(*next(batches))]
        done, elapsed = done + 1, time.perf_counter() - started
    return done * config.stages[0].batch / elapsed, kept


def check_equal(config: TrainingConfig, batch: Sample) -> dict[str, float]:
    """Compare the gradients of each mode with the first version's.

    Returns the difference by mode.

    Raises:
        GateError: a difference is above `TOLERANCE`, or `MIXED_TOLERANCE`.
    """
    expected = Trainee(config, FIRST).differentiate(batch)
    found: dict[str, float] = {}
    for mode in MODES[1:]:
        tolerance = MIXED_TOLERANCE if mode.mixed else TOLERANCE
        found[mode.name] = differ(mode, Trainee(config, mode).differentiate(batch), expected)
        if not found[mode.name] <= tolerance:
            raise GateError(
                f"{mode.name} and the first version differ by {found[mode.name]:.1e}, at most {tolerance:.0e} expected"
            )
    return found


def serve(pipe: Connection, config: TrainingConfig, mode: StepMode, threads: int) -> None:
    """Run steps when told to, until None comes."""
    torch.set_num_threads(threads)
    if mode.keeps_memory:
        keep_freed_memory()
    trainee = Trainee(config, mode)
    for batches, seconds in iter(pipe.recv, None):
        pipe.send(time_steps(trainee, [Sample(*map(torch.from_numpy, batch)) for batch in batches], seconds))


@contextmanager
def started(config: TrainingConfig) -> Iterator[dict[str, Connection]]:
    """Start a process for each mode.

    How memory is kept cannot be changed back within a process.
    """
    context, pipes, processes = multiprocessing.get_context("spawn"), {}, []
    for mode in MODES:
        pipes[mode.name], theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, config, mode, torch.get_num_threads()), daemon=True)
        process.start()
        processes.append(process)
    try:
        yield pipes
        for pipe in pipes.values():
            pipe.send(None)
    finally:
        for process in processes:
            process.join(5.0)
            process.terminate()


def ask(pipe: Connection, batches: Sequence[Sample], seconds: float) -> float:
    """Ask a process for its steps/s."""
    pipe.send(([[np.asarray(part) for part in batch] for batch in batches], seconds))
    return float(pipe.recv())


def compare(task: str, data: Path, rounds: int, seconds: float) -> dict[str, Any]:
    """Measure one task, with medians over the rounds."""
    config = load_task(task, data)
    pictures, corpus = find_corpus(config, data)
    rates: dict[str, list[float]] = {"data": [], **{mode.name: [] for mode in MODES}}
    differences, densities = {}, []
    with started(config) as pipes:
        for turn in range(rounds):
            rate, batches = time_data(config, corpus, seconds)
            rates["data"].append(rate)
            densities += [float(batch.mask.float().mean()) for batch in batches]
            if turn == 0:
                differences = check_equal(config, batches[0])
            for name in list(pipes) if turn % 2 else reversed(pipes):
                rates[name].append(ask(pipes[name], batches, seconds))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    stage = config.stages[0]
    steps = {mode.name: medians[mode.name] for mode in MODES}
    return {
        "task": task,
        "pictures": pictures,
        "batch": stage.batch,
        "patch": stage.patch,
        "density": statistics.mean(densities),
        "gradient_differences": differences,
        "rates": rates,
        "steps": steps,
        "speedups": {
            name: statistics.median(n / f for n, f in zip(rates[name], rates["first"], strict=True)) for name in steps
        },
        "data_samples": medians["data"],
        "data_share": max(steps.values()) * stage.batch / medians["data"],
    }


def main() -> int:
    """Print the table.

    The exit status is 1 when a gate fails or the data is slower than the steps.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=parse_names(TASKS), default=",".join(TASKS), help="of " + ", ".join(TASKS))
    parser.add_argument("--data", type=Path, default=DATA, help="folder with rain/, clean/ and so on")
    parser.add_argument("--threads", type=parse_count, help="CPU threads of the steps")
    parser.add_argument("--rounds", type=parse_count, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    try:
        rows = [compare(task, arguments.data, arguments.rounds, arguments.seconds) for task in arguments.tasks]
    except GateError as error:
        print(error, file=sys.stderr)
        return 1
    machine = {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    report = {"threads": torch.get_num_threads(), "machine": machine, "rows": rows}
    print(json.dumps(report)) if arguments.json else _show(report)
    return 1 if any(row["data_share"] > 1.0 for row in rows) else 0


def _show(report: dict[str, Any]) -> None:
    machine = report["machine"]
    print(f"{machine['cores']} cores of {machine['cpu']}, load {machine['load']:.1f}, {report['threads']} threads")
    print("task      batch  distorted  one worker  used of it  steps/s, times the first version")
    for row in report["rows"]:
        modes = ", ".join(f"{name} {rate:.2f} {row['speedups'][name]:.2f}x" for name, rate in row["steps"].items())
        print(
            f"{row['task']:9} {row['batch']}x{row['patch']:<4} {row['density']:8.0%} {row['data_samples']:9.0f}/s"
            f" {row['data_share']:10.0%}  {modes}  ({row['pictures']})"
        )


if __name__ == "__main__":
    sys.exit(main())
