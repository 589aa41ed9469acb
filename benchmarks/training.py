"""How fast is training, what does packing save, and does the data keep up?

Run from the repository root: `python -m benchmarks.training [--tasks rain,blur] [--data DIR] [--json]`. For each task
it takes the pictures, shares, batch and patch of the last stage of `training/configs/<task>-tiny.toml` (made pictures
where the development data is absent) and measures, in turns within one run,
- steps per second (forward, backward, clipping, AdamW, averaging) when Net_R computes every pixel, as the first version
  of the training did, and when it computes distorted pixels only where they are few (`hardware.packed_below`);
- samples per second that one worker process delivers while nobody else computes.
Before anything is timed, both ways must give the same loss and gradients. Exits 1 when they do not, or when one worker
is slower than the steps. About a minute per task on two cores.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn

from spair.runtime.errors import GateError
from spair.training.config import TrainingConfig
from spair.training.config_file import load_config
from spair.training.corpus import Corpus, MaskedPhoto, PicturePair, load_corpus
from spair.training.module import PatchModule, RestorationModule, sum_known
from spair.training.patches import Sample
from spair.training.simulators import SIMULATORS

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
CONFIGS = ROOT / "training" / "configs"
TASKS = ("rain", "raindrop", "shadow", "blur")
TOLERANCE = 1e-3
"""Largest difference of a gradient, relative to the largest of its parameter: sums of 1e5 float32 products in another
order differ by some 1e-5; a wrong neighbour by parts of 1."""


def load_task(task: str, data: Path) -> TrainingConfig:
    """The shipped configuration of a task as one endless stage, its folders looked for below `data`."""
    text = (CONFIGS / f"{task}-tiny.toml").read_text(encoding="utf-8").replace("../../../shared/data", data.as_posix())
    config = load_config(_write(text, task))
    last = config.stages[-1].model_copy(update={"steps": 10**6})
    schedule = config.schedule.model_copy(update={"epoch": 10**6})
    return config.model_copy(update={"stages": (last,), "schedule": schedule})


def _write(text: str, task: str) -> Path:
    import tempfile

    path = Path(tempfile.mkdtemp()) / f"{task}.toml"
    path.write_text(text, encoding="utf-8")
    return path


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

    def __init__(self, config: TrainingConfig, packed_below: float) -> None:
        torch.manual_seed(config.seed)
        hardware = config.hardware.model_copy(update={"packed_below": packed_below})
        self.config = config.model_copy(update={"hardware": hardware})
        self.module = RestorationModule(self.config)
        self.optimizer = self.module.configure_optimizers()["optimizer"]
        self.average = AveragedModel(self.module, avg_fn=get_ema_avg_fn(config.schedule.ema), use_buffers=True)

    def lose(self, batch: Sample) -> torch.Tensor:
        """The loss of a batch restored under the true mask, which is the mask of a trained Net_L."""
        losses = self.module.measure(batch, step=1)
        return sum_known(losses.image, self.config.loss.mask_weight * losses.mask if losses.mask is not None else None)

    def step(self, batch: Sample) -> None:
        """Forward, backward, clipping, AdamW, averaging."""
        self.optimizer.zero_grad()
        self.lose(batch).backward()
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.config.schedule.clip)
        self.optimizer.step()
        self.average.update_parameters(self.module)


def silence_localization(trainee: Trainee) -> None:
    """Let Net_L find nothing, so that the mask of every step is the true one, as it nearly is after its own stage."""
    head = trainee.module.model.net_l.head
    with torch.no_grad():
        head.weight[:4] = 0.0
        head.bias[:4] = -20.0  # the mask's channels before pixel-shuffling


def check_equal(dense: Trainee, packed: Trainee, batch: Sample) -> float:
    """The largest relative difference of the gradients of both ways.

    Raises:
        GateError: the losses or gradients differ by more than `TOLERANCE`.
    """
    losses = []
    for trainee in (dense, packed):
        trainee.optimizer.zero_grad()
        losses.append(trainee.lose(batch))
        losses[-1].backward()
    worst = abs(losses[0].item() - losses[1].item())
    for one, other in zip(dense.module.parameters(), packed.module.parameters(), strict=True):
        assert one.grad is not None and other.grad is not None
        worst = max(worst, float((one.grad - other.grad).abs().max() / (one.grad.abs().max() + 1e-6)))
    if not worst <= TOLERANCE:
        raise GateError(
            f"packed and dense training differ by {worst:.1e} of a gradient, at most {TOLERANCE:.0e} expected"
        )
    return worst


def time_steps(trainee: Trainee, batches: Sequence[Sample], seconds: float) -> float:
    """Steps/s when the batches are there already."""
    steps, started = 0, time.perf_counter()
    for batch in itertools.cycle(batches):
        trainee.step(batch)
        steps += 1
        if (elapsed := time.perf_counter() - started) > seconds:
            break
    return steps / elapsed


def compare(task: str, data: Path, rounds: int, seconds: float) -> dict[str, Any]:
    """One row of the table: medians over the rounds."""
    config = load_task(task, data)
    pictures, corpus = find_corpus(config, data)
    trainees = {"dense": Trainee(config, 0.0), "packed": Trainee(config, config.hardware.packed_below)}
    for trainee in trainees.values():
        silence_localization(trainee)
    rates: dict[str, list[float]] = {"data": [], "dense": [], "packed": []}
    worst, densities = 0.0, []
    for turn in range(rounds):
        rate, batches = time_data(config, corpus, seconds)
        rates["data"].append(rate)
        densities += [float(batch.mask.float().mean()) for batch in batches]
        if turn == 0:
            worst = check_equal(trainees["dense"], trainees["packed"], batches[0])
        for name in ("dense", "packed") if turn % 2 else ("packed", "dense"):
            rates[name].append(time_steps(trainees[name], batches, seconds))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    stage = config.stages[0]
    return {
        "task": task,
        "pictures": pictures,
        "batch": stage.batch,
        "patch": stage.patch,
        "density": statistics.mean(densities),
        "gradient_difference": worst,
        "rates": rates,
        "dense_steps": medians["dense"],
        "packed_steps": medians["packed"],
        "speedup": statistics.median(p / d for p, d in zip(rates["packed"], rates["dense"], strict=True)),
        "data_samples": medians["data"],
        "data_share": medians["packed"] * stage.batch / medians["data"],
    }


def main() -> int:
    """Print the table; the exit status is 1 when a gate fails or the data is slower than the steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default=",".join(TASKS), help="of " + ", ".join(TASKS))
    parser.add_argument("--data", type=Path, default=DATA, help="folder with rain/, clean/ and so on")
    parser.add_argument("--threads", type=int, help="CPU threads of the steps")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    try:
        rows = [
            compare(task, arguments.data, arguments.rounds, arguments.seconds) for task in arguments.tasks.split(",")
        ]
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
    print("task      batch  distorted  dense steps/s  packed steps/s  speed-up  one worker  used of it")
    for row in report["rows"]:
        print(
            f"{row['task']:9} {row['batch']}x{row['patch']:<4} {row['density']:8.0%} {row['dense_steps']:14.2f}"
            f" {row['packed_steps']:15.2f} {row['speedup']:8.2f}x {row['data_samples']:7.0f}/s"
            f" {row['data_share']:10.0%}  ({row['pictures']})"
        )


if __name__ == "__main__":
    sys.exit(main())
