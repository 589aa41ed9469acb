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
import dataclasses
import itertools
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
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from benchmarks.common.arguments import parse_count, parse_names
from spair.runtime.errors import GateError
from spair.training.config import TrainingConfig
from spair.training.config_file import load_config
from spair.training.data.corpus import Corpus, MaskedPhoto, PicturePair, load_corpus
from spair.training.data.patches import Sample
from spair.training.loop.cpu import has_matrix_tiles, keep_freed_memory
from spair.training.loop.module import PatchModule, RestorationModule, sum_known
from spair.training.simulators import SIMULATORS

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
CONFIGS = ROOT / "training" / "configs"
TASKS = ("rain", "raindrop", "shadow", "blur")
TOLERANCE = 1e-3
"""Largest difference of a gradient, relative to the largest of its parameter. Sums of 1e5 float32 products in
another order differ by some 1e-5; a wrong neighbour changes them by parts of 1."""

MIXED_TOLERANCE = 0.02
"""Largest length of the difference of all gradients, relative to their own length. bfloat16 keeps 8 bits, so some
forty layers each add up to 0.2 % at random: 1.3 % where no error averages out over pixels, and 0.4 % is found. A
wrong layer changes it by parts of 1."""


Differentiated = tuple[float, list[torch.Tensor]]
"""Loss and gradients of all weights."""


@dataclasses.dataclass(frozen=True)
class StepMode:
    """Settings of a run's computing that are compared."""

    name: str
    packed: bool = False
    mixed: bool = False
    keeps_memory: bool = True
    compiled: bool = False


FIRST = StepMode("first", keeps_memory=False)
MIXED = (StepMode("mixed", mixed=True), StepMode("packed mixed", packed=True, mixed=True))
MODES = (FIRST, StepMode("packed", packed=True), *(MIXED if has_matrix_tiles() else ()))


def load_task(task: str, data: Path) -> TrainingConfig:
    """Load a shipped configuration as one endless stage.

    The stage is always under true masks. The folders of the task are below `data`.
    """
    path = CONFIGS / f"{task}-tiny.toml"
    folders = {name: data / name for name in load_config(path).data.roots if name not in ("photos", "labels")}
    given = {"photos": data / "clean" / "train"} if task != "shadow" else {}
    config = load_config(path, folders | given)
    last = config.stages[-1].model_copy(update={"steps": 10**6, "true_masks": 1.0})
    schedule = config.schedule.model_copy(update={"epoch": 10**6})
    hardware = config.hardware.model_copy(update={"workers": 1})
    return config.model_copy(update={"stages": (last,), "schedule": schedule, "hardware": hardware})


def find_corpus(config: TrainingConfig, data: Path) -> tuple[str, Corpus]:
    """Find the development images of the configuration.

    Where they are absent, pictures of the same size are made. Returns a name for the pictures, and the pictures.
    """
    if not data.is_dir():
        return "made pictures", make_corpus(config.task)
    return "development images", load_corpus(config.data, config.stages[0].patch)


def make_corpus(task: str, count: int = 12, height: int = 321, width: int = 481) -> Corpus:
    """Make pictures of noise and degrade them.

    The time that a crop takes does not depend on its content.
    """
    rng = np.random.default_rng(0)
    photos = [rng.integers(0, 200, (height, width, 3), np.uint8) for _ in range(count)]
    pairs, masked = [], []
    for number, clean in enumerate(photos):
        image, mask = SIMULATORS[task].simulate(clean.astype(np.float32) / np.float32(255), rng)
        degraded = np.rint(image * 255.0).astype(np.uint8)
        pairs.append(PicturePair(f"made/{number}", degraded, clean))
        masked.append(MaskedPhoto(f"made/{number}", degraded, mask))
    return Corpus(tuple(pairs), tuple(photos), (), tuple(masked))


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


class Trainee:
    """Module and optimizer of a run without its trainer."""

    def __init__(self, config: TrainingConfig, mode: StepMode, device: str = "cpu") -> None:
        torch.manual_seed(config.seed)
        packed_below = config.hardware.packed_below if mode.packed else 0.0
        chosen = {"packed_below": packed_below, "channels_last": mode.mixed, "compile": mode.compiled}
        hardware = config.hardware.model_copy(update=chosen)
        self.config = config.model_copy(update={"hardware": hardware})
        self.module, self.mixed, self.device = RestorationModule(self.config).to(device), mode.mixed, device
        self.module.on_fit_start()
        self.optimizer = self.module.configure_optimizers()["optimizer"]
        averaging = get_ema_multi_avg_fn(config.schedule.ema)
        self.average = AveragedModel(self.module, multi_avg_fn=averaging, use_buffers=True)
        silence_localization(self.module)

    def lose(self, batch: Sample) -> torch.Tensor:
        """Compute the loss of a batch under its true mask.

        A trained Net_L finds this mask.
        """
        with torch.autocast(self.device, torch.bfloat16, enabled=self.mixed):
            losses = self.module.measure(batch, step=0)
        return sum_known(losses.image, self.config.loss.mask_weight * losses.mask if losses.mask is not None else None)

    def step(self, batch: Sample) -> None:
        """Run forward, backward, clipping, AdamW and averaging."""
        self.optimizer.zero_grad()
        self.lose(batch).backward()
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.config.schedule.clip)
        self.optimizer.step()
        self.average.update_parameters(self.module)

    def differentiate(self, batch: Sample) -> Differentiated:
        """Compute the loss and its gradients."""
        self.optimizer.zero_grad()
        (loss := self.lose(batch)).backward()
        gradients = [parameter.grad for parameter in self.module.parameters() if parameter.grad is not None]
        return loss.item(), [gradient.clone() for gradient in gradients]  # a compiled step would overwrite them


def silence_localization(module: RestorationModule) -> None:
    """Let Net_L find nothing.

    Then the mask of every step is the true one, as it nearly is after Net_L's own stage.
    """
    head = module.model.net_l.head
    with torch.no_grad():
        head.weight[:4] = 0.0
        head.bias[:4] = -20.0  # the mask's channels before pixel-shuffling


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


def differ(mode: StepMode, given: Differentiated, expected: Differentiated) -> float:
    """Measure the distance of a loss and gradients from others.

    The measure is the one of `MIXED_TOLERANCE` or of `TOLERANCE`.
    """
    pairs = list(zip(expected[1], given[1], strict=True))
    if mode.mixed:
        length = torch.stack([one.norm() for one, _ in pairs]).norm()
        worst = float(torch.stack([(one - two).norm() for one, two in pairs]).norm() / length)
    else:
        worst = max(float((one - two).abs().max() / (one.abs().max() + 1e-6)) for one, two in pairs)
    return max(worst, abs(expected[0] - given[0]) / max(abs(expected[0]), 1.0))


def time_steps(trainee: Trainee, batches: Sequence[Sample], seconds: float) -> float:
    """Measure the steps/s with batches at hand."""
    trainee.step(batches[0])  # the first step allocates
    steps, started = 0, time.perf_counter()
    for batch in itertools.cycle(batches):
        trainee.step(batch)
        steps += 1
        if (elapsed := time.perf_counter() - started) > seconds:
            break
    return steps / elapsed


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
