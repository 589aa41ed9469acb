"""What does compiling save a step of training on a GPU?

Run from the repository root: `python -m benchmarks.gpu.training [--task rain] [--json]`. Both ways compute in mixed
bfloat16, channels last, on batches and patches of the last stage of `training/configs/<task>-tiny.toml`, cut from made
pictures:
- eager: operation after operation, as without `hardware.compile`;
- compiled: operations fused, a step's kernels launched as one CUDA graph.
Before anything is timed, the gradients of both must be those of float32 as far as bfloat16 goes; exits 1 when they are
not. A step is forward, backward, clipping, AdamW and averaging, and waits for its loss, as the check of every loss does
in a run. Data and the trainer around the steps are not in it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.common.measuring import parse_count
from benchmarks.training import MIXED_TOLERANCE, TASKS, Trainee, Way, differ, load_task, make_corpus, time_steps
from spair.runtime.errors import GateError
from spair.training.data.patches import Sample
from spair.training.loop.module import PatchModule

EXACT = Way("float32")
WAYS = (Way("eager", mixed=True), Way("compiled", mixed=True, compiled=True))


class Waiting(Trainee):
    """A trainee whose steps end when the GPU has computed the loss."""

    def step(self, batch: Sample) -> None:
        """One step."""
        super().step(batch)
        torch.cuda.synchronize()


def compare(task: str, rounds: int, seconds: float) -> dict[str, Any]:
    """Steps per second of each way, medians of the rounds.

    Raises:
        GateError: the gradients of a way are wrong.
    """
    config = load_task(task, Path("absent"))
    batches = iter(PatchModule(config, make_corpus(task)).train_dataloader())
    samples = [Sample(*(torch.as_tensor(part).cuda() for part in next(batches))) for _ in range(4)]
    trainees = {way: Waiting(config, way, "cuda") for way in WAYS}
    expected = Trainee(config, EXACT, "cuda").differentiate(samples[0])
    differences = {
        way.name: differ(way, trainee.differentiate(samples[0]), expected) for way, trainee in trainees.items()
    }
    for name, difference in differences.items():
        if not difference <= MIXED_TOLERANCE:
            raise GateError(f"{name} and float32 differ by {difference:.1e}, at most {MIXED_TOLERANCE:.0e} expected")
    rates: dict[str, list[float]] = {way.name: [] for way in WAYS}
    for turn in range(rounds):
        for way in WAYS if turn % 2 else reversed(WAYS):
            rates[way.name].append(time_steps(trainees[way], samples, seconds))
    stage = config.stages[0]
    return {
        "gpu": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "task": task,
        "batch": stage.batch,
        "patch": stage.patch,
        "gradient_differences": differences,
        "rates": rates,
        "steps": {name: statistics.median(values) for name, values in rates.items()},
        "speedup": statistics.median(c / e for c, e in zip(rates["compiled"], rates["eager"], strict=True)),
    }


def main() -> int:
    """Print the figures; the exit status is 1 when the gate fails, 2 where there is no GPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=TASKS, default="rain")
    parser.add_argument("--rounds", type=parse_count, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("PyTorch finds no CUDA GPU here; run this where there is one", file=sys.stderr)
        return 2
    try:
        report = compare(arguments.task, arguments.rounds, arguments.seconds)
    except GateError as error:
        print(error, file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps(report))
        return 0
    print(f"{report['gpu']}, PyTorch {report['torch']}, {report['task']}, {report['batch']} crops of {report['patch']}")
    for name, rate in report["steps"].items():
        print(f"{name:9} {1e3 / rate:7.2f} ms a step, gradients differ by {report['gradient_differences'][name]:.1e}")
    print(f"compiled is {report['speedup']:.2f} times as fast")
    return 0


if __name__ == "__main__":
    sys.exit(main())
