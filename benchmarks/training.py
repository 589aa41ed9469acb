"""How fast is training, what do packing and mixed precision save, and does the data keep up?

Run from the repository root: `python -m benchmarks.training [--tasks rain,blur] [--data DIR] [--json]`. For each task
it takes the pictures, shares, batch and patch of the last stage of `training/configs/<task>-tiny.toml` (made pictures
where the development data is absent) and measures, in turns within one run and each in a process of its own,
- steps per second (forward, backward, clipping, AdamW, averaging)
  first: as the first version of the training did, every pixel in float32;
  packed: distorted pixels only where they are few (`hardware.packed_below`), and freed memory kept: the default of
  CPUs without matrix tiles;
  mixed: every pixel in mixed bfloat16, channels last, freed memory kept; measured on CPUs with matrix tiles only;
  packed mixed: both, the default of such CPUs;
- samples per second that one worker process delivers while nobody else computes.
Before anything is timed, all must give the same loss and gradients, as far as their precision goes. Exits 1 when they
do not, or when one worker is slower than the steps. About two minutes per task on two cores.
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

from benchmarks.common.measuring import parse_count, parse_names
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
"""Largest difference of a gradient, relative to the largest of its parameter: sums of 1e5 float32 products in another
order differ by some 1e-5; a wrong neighbour by parts of 1."""

MIXED_TOLERANCE = 0.02
"""Largest length of the difference of all gradients, relative to that of the gradients: bfloat16 keeps 8 bits, so
some forty layers each add up to 0.2 % at random: 1.3 % where none of it averages out over pixels, and 0.4 % is found. A
wrong layer changes it by parts of 1."""


Differentiated = tuple[float, list[torch.Tensor]]
"""A loss and the gradients of all weights."""


@dataclasses.dataclass(frozen=True)
class Way:
    """How a run computes."""

    name: str
    packed: bool = False
    mixed: bool = False
    keeps_memory: bool = True
    compiled: bool = False


FIRST = Way("first", keeps_memory=False)
MIXED = (Way("mixed", mixed=True), Way("packed mixed", packed=True, mixed=True))
WAYS = (FIRST, Way("packed", packed=True), *(MIXED if has_matrix_tiles() else ()))


def load_task(task: str, data: Path) -> TrainingConfig:
    """The shipped configuration of a task as one endless stage, always under true masks; folders are below `data`."""
    path = CONFIGS / f"{task}-tiny.toml"
    folders = {name: data / name for name in load_config(path).data.roots if name not in ("photos", "labels")}
    given = {"photos": data / "clean" / "train"} if task != "shadow" else {}
    config = load_config(path, folders | given)
    last = config.stages[-1].model_copy(update={"steps": 10**6, "true_masks": 1.0})
    schedule = config.schedule.model_copy(update={"epoch": 10**6})
    hardware = config.hardware.model_copy(update={"workers": 1})
    return config.model_copy(update={"stages": (last,), "schedule": schedule, "hardware": hardware})


def find_corpus(config: TrainingConfig, data: Path) -> tuple[str, Corpus]:
    """The development images of the configuration, or made pictures of the same size where they are absent."""
    if not data.is_dir():
        return "made pictures", make_corpus(config.task)
    return "development images", load_corpus(config.data, config.stages[0].patch)


def make_corpus(task: str, count: int = 12, height: int = 321, width: int = 481) -> Corpus:
    """Noise, degraded: the time that a crop takes does not depend on what is in it."""
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
    """Samples/s that the loader of a run delivers while nobody else computes, and its last batches."""
    batches = iter(PatchModule(config, corpus).train_dataloader())
    for _ in range(10):  # the start of the worker, and the batches it prepared meanwhile
        next(batches)
    kept: list[Sample] = []
    done, elapsed, started = 0, 0.0, time.perf_counter()
    while elapsed < seconds:
        kept = [*kept[-15:], Sample(*next(batches))]
        done, elapsed = done + 1, time.perf_counter() - started
    return done * config.stages[0].batch / elapsed, kept


class Trainee:
    """What a step of a run does, without the trainer around it."""

    def __init__(self, config: TrainingConfig, way: Way, device: str = "cpu") -> None:
        torch.manual_seed(config.seed)
        packed_below = config.hardware.packed_below if way.packed else 0.0
        chosen = {"packed_below": packed_below, "channels_last": way.mixed, "compile": way.compiled}
        hardware = config.hardware.model_copy(update=chosen)
        self.config = config.model_copy(update={"hardware": hardware})
        self.module, self.mixed, self.device = RestorationModule(self.config).to(device), way.mixed, device
        self.module.on_fit_start()
        self.optimizer = self.module.configure_optimizers()["optimizer"]
        averaging = get_ema_multi_avg_fn(config.schedule.ema)
        self.average = AveragedModel(self.module, multi_avg_fn=averaging, use_buffers=True)
        silence_localization(self.module)

    def lose(self, batch: Sample) -> torch.Tensor:
        """The loss of a batch restored under the true mask, which is the mask of a trained Net_L."""
        with torch.autocast(self.device, torch.bfloat16, enabled=self.mixed):
            losses = self.module.measure(batch, step=0)
        return sum_known(losses.image, self.config.loss.mask_weight * losses.mask if losses.mask is not None else None)

    def step(self, batch: Sample) -> None:
        """Forward, backward, clipping, AdamW, averaging."""
        self.optimizer.zero_grad()
        self.lose(batch).backward()
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.config.schedule.clip)
        self.optimizer.step()
        self.average.update_parameters(self.module)

    def differentiate(self, batch: Sample) -> Differentiated:
        """The loss and its gradients."""
        self.optimizer.zero_grad()
        (loss := self.lose(batch)).backward()
        gradients = [parameter.grad for parameter in self.module.parameters() if parameter.grad is not None]
        return loss.item(), [gradient.clone() for gradient in gradients]  # a compiled step would overwrite them


def silence_localization(module: RestorationModule) -> None:
    """Let Net_L find nothing, so that the mask of every step is the true one, as it nearly is after its own stage."""
    head = module.model.net_l.head
    with torch.no_grad():
        head.weight[:4] = 0.0
        head.bias[:4] = -20.0  # the mask's channels before pixel-shuffling


def check_equal(config: TrainingConfig, batch: Sample) -> dict[str, float]:
    """By way: how far its gradients are from those of the first version.

    Raises:
        GateError: by more than `TOLERANCE`, or `MIXED_TOLERANCE`.
    """
    expected = Trainee(config, FIRST).differentiate(batch)
    found: dict[str, float] = {}
    for way in WAYS[1:]:
        tolerance = MIXED_TOLERANCE if way.mixed else TOLERANCE
        found[way.name] = differ(way, Trainee(config, way).differentiate(batch), expected)
        if not found[way.name] <= tolerance:
            raise GateError(
                f"{way.name} and the first version differ by {found[way.name]:.1e}, at most {tolerance:.0e} expected"
            )
    return found


def differ(way: Way, given: Differentiated, expected: Differentiated) -> float:
    """How far a loss and its gradients are from others, in the measure of `MIXED_TOLERANCE` or of `TOLERANCE`."""
    pairs = list(zip(expected[1], given[1], strict=True))
    if way.mixed:
        length = torch.stack([one.norm() for one, _ in pairs]).norm()
        worst = float(torch.stack([(one - two).norm() for one, two in pairs]).norm() / length)
    else:
        worst = max(float((one - two).abs().max() / (one.abs().max() + 1e-6)) for one, two in pairs)
    return max(worst, abs(expected[0] - given[0]) / max(abs(expected[0]), 1.0))


def time_steps(trainee: Trainee, batches: Sequence[Sample], seconds: float) -> float:
    """Steps/s when the batches are there already."""
    trainee.step(batches[0])  # the first one allocates
    steps, started = 0, time.perf_counter()
    for batch in itertools.cycle(batches):
        trainee.step(batch)
        steps += 1
        if (elapsed := time.perf_counter() - started) > seconds:
            break
    return steps / elapsed


def serve(pipe: Connection, config: TrainingConfig, way: Way, threads: int) -> None:
    """A process that steps when told to, until it gets None."""
    torch.set_num_threads(threads)
    if way.keeps_memory:
        keep_freed_memory()
    trainee = Trainee(config, way)
    for batches, seconds in iter(pipe.recv, None):
        pipe.send(time_steps(trainee, [Sample(*map(torch.from_numpy, batch)) for batch in batches], seconds))


@contextmanager
def started(config: TrainingConfig) -> Iterator[dict[str, Connection]]:
    """A process for each way: how memory is kept cannot be changed back in one."""
    context, pipes, processes = multiprocessing.get_context("spawn"), {}, []
    for way in WAYS:
        pipes[way.name], theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, config, way, torch.get_num_threads()), daemon=True)
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
    """Steps/s of the process at the other end."""
    pipe.send(([[np.asarray(part) for part in batch] for batch in batches], seconds))
    return float(pipe.recv())


def compare(task: str, data: Path, rounds: int, seconds: float) -> dict[str, Any]:
    """One row of the table: medians over the rounds."""
    config = load_task(task, data)
    pictures, corpus = find_corpus(config, data)
    rates: dict[str, list[float]] = {"data": [], **{way.name: [] for way in WAYS}}
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
    steps = {way.name: medians[way.name] for way in WAYS}
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
    """Print the table; the exit status is 1 when a gate fails or the data is slower than the steps."""
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
        ways = ", ".join(f"{name} {rate:.2f} {row['speedups'][name]:.2f}x" for name, rate in row["steps"].items())
        print(
            f"{row['task']:9} {row['batch']}x{row['patch']:<4} {row['density']:8.0%} {row['data_samples']:9.0f}/s"
            f" {row['data_share']:10.0%}  {ways}  ({row['pictures']})"
        )


if __name__ == "__main__":
    sys.exit(main())
