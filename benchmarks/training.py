"""Is the data pipeline the bottleneck of training? Samples delivered against samples that the steps consume.

Run from the repository root: `python -m benchmarks.training [--data DIR] [--json]`. Times the loader that a run uses
(one worker process) alone, then training steps (forward, backward, clipping, AdamW, averaging; tiny, batch 8, patch 64)
on batches that are already in memory, in turns, and compares the medians. The pictures and shares are those of
`training/configs/rain-tiny.toml`; without the development data the pictures are made. Exits 1 when the data is slower
than the steps. One minute on two cores.
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
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn

from spair.training.config import Data, TrainingConfig, load_config
from spair.training.corpus import Corpus, PicturePair, load_corpus
from spair.training.module import PatchModule, RestorationModule
from spair.training.simulators.rain import Rain, add_rain

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
CONFIG = ROOT / "training" / "configs" / "rain-tiny.toml"

Batch = tuple[Tensor, Tensor]


def find_corpus(config: TrainingConfig, data: Path) -> tuple[str, Corpus]:
    """The development images of the configuration, or made pictures of the same size where they are absent."""
    if not data.is_dir():
        return "made pictures", make_corpus()
    rain = data / "rain"
    pairs = tuple(
        {"input": rain / level / "input", "target": rain / "light" / "target"} for level in ("light", "heavy")
    )
    places = Data(pairs=pairs, photos=(data / "clean" / "train",), held_out=config.data.held_out)  # type: ignore[arg-type]
    return "development images", load_corpus(places, config.schedule.patch)


def make_corpus(count: int = 12, height: int = 321, width: int = 481) -> Corpus:
    """Noise with rain on it: the time that a crop takes does not depend on what is in it."""
    rng = np.random.default_rng(0)
    photos = [rng.integers(0, 200, (height, width, 3), np.uint8) for _ in range(count)]
    pairs = []
    for number, clean in enumerate(photos):
        rainy = add_rain(clean.astype(np.float32) / 255.0, Rain.draw(rng), rng)
        pairs.append(PicturePair(f"made/{number}", np.rint(rainy * 255.0).astype(np.uint8), clean))
    return Corpus(tuple(pairs), tuple(photos), ())


def time_data(config: TrainingConfig, corpus: Corpus, seconds: float) -> tuple[float, list[Batch]]:
    """Samples/s that the loader of a run delivers while nobody else computes, and its last batches."""
    batches = iter(PatchModule(config, corpus).train_dataloader())
    for _ in range(10):  # the start of the worker, and the batches it prepared meanwhile
        next(batches)
    kept: list[Batch] = []
    done, elapsed, started = 0, 0.0, time.perf_counter()
    while elapsed < seconds:
        kept = [*kept[-7:], tuple(next(batches))]
        done, elapsed = done + 1, time.perf_counter() - started
    return done * config.schedule.batch / elapsed, kept


class Trainee:
    """What a step of a run does, without the trainer around it."""

    def __init__(self, config: TrainingConfig) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.module = RestorationModule(config)
        self.optimizer = self.module.configure_optimizers()["optimizer"]
        self.average = AveragedModel(self.module, avg_fn=get_ema_avg_fn(config.schedule.ema), use_buffers=True)
        self.steps = 0

    def step(self, batch: Batch) -> None:
        """Forward, backward, clipping, AdamW, averaging."""
        image_loss, mask_loss = self.module.measure(batch, self.steps)
        self.optimizer.zero_grad()
        (image_loss + self.config.loss.mask_weight * mask_loss).backward()
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.config.schedule.clip)
        self.optimizer.step()
        self.average.update_parameters(self.module)
        self.steps += 1


def time_steps(trainee: Trainee, batches: Sequence[Batch], seconds: float) -> float:
    """Samples/s that training consumes when the batches are there already."""
    for batch in batches[:2]:
        trainee.step(batch)
    before, started = trainee.steps, time.perf_counter()
    for batch in itertools.cycle(batches):
        trainee.step(batch)
        if (elapsed := time.perf_counter() - started) > seconds:
            break
    return (trainee.steps - before) * len(batches[0][0]) / elapsed


def compare(config: TrainingConfig, corpus: Corpus, rounds: int, seconds: float) -> dict[str, Any]:
    """{"data", "steps": samples/s of each round, "share": of what the data could deliver, the steps use this much}."""
    data, steps = [], []
    trainee = Trainee(config)
    for _ in range(rounds):
        rate, batches = time_data(config, corpus, seconds)
        data.append(rate)
        steps.append(time_steps(trainee, batches, seconds))
    return {"data": data, "steps": steps, "share": statistics.median(steps) / statistics.median(data)}


def main() -> int:
    """Print both rates; the exit status is 1 when the data is slower."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with rain/ and clean/")
    parser.add_argument("--threads", type=int, help="CPU threads of the steps")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    config = load_config(CONFIG)
    endless = config.schedule.model_copy(update={"epoch": 10**6, "steps": 10**6})
    pictures, corpus = find_corpus(config, arguments.data)
    result = compare(config.model_copy(update={"schedule": endless}), corpus, arguments.rounds, arguments.seconds)
    machine = {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    report = {"pictures": pictures, "threads": torch.get_num_threads(), "machine": machine, **result}
    if arguments.json:
        print(json.dumps(report))
    else:
        _show(report, endless.batch, endless.patch)
    return 1 if result["share"] > 1.0 else 0


def _show(report: dict[str, Any], batch: int, patch: int) -> None:
    machine = report["machine"]
    print(f"{report['pictures']}, {machine['cores']} cores of {machine['cpu']}, load {machine['load']:.1f}")
    for name, words in (("data", "one worker delivers"), ("steps", f"steps on {report['threads']} threads consume")):
        rates = report[name]
        print(f"{words:28} {statistics.median(rates):8.1f} samples/s ({min(rates):.1f} to {max(rates):.1f})")
    verdict = "the data is SLOWER than the steps" if report["share"] > 1.0 else "the data keeps up"
    print(f"batch {batch}, patch {patch}: the steps use {report['share']:.1%} of what the data delivers: {verdict}")


if __name__ == "__main__":
    sys.exit(main())
