"""Measure what compiling saves a training step on a GPU.

Run from the repository root: `python -m benchmarks.gpu.training [--task rain] [--json]`. Both modes compute in mixed
bfloat16, channels last, on batches and patches of the last stage of `training/configs/<task>-tiny.toml`, cut from made
pictures:
- eager: operation after operation, as without `hardware.compile`;
- compiled: operations fused, a step's kernels launched as one CUDA graph.

Before anything is timed, the gradients of both must equal float32's as far as bfloat16 goes; it exits 1 when they do
not. A step is forward, backward, clipping, AdamW and averaging, and waits for its loss, as the check of every loss does
in a run. Data and the trainer around the steps are left out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.common.arguments import parse_count
from benchmarks.training import MIXED_TOLERANCE, TASKS, StepMode, Trainee, differ, load_task, make_corpus, time_steps
from spair.runtime.errors import GateError
from spair.training.data.patches import Sample
from spair.training.loop.module import PatchModule

EXACT = StepMode("float32")
MODES = (StepMode("eager", mixed=True), StepMode("compiled", mixed=True, compiled=True))


class WaitingTrainee(Trainee):
    """Trainee whose steps wait until the GPU is done."""

    def step(self, batch: Sample) -> None:
        """Run one step and wait for its loss."""
        super().step(batch)
        torch.cuda.synchronize()


def compare(task: str, rounds: int, seconds: float) -> dict[str, Any]:
    """Measure the steps per second of each mode.

    They are medians of the rounds.

    Raises:
        GateError: the gradients of a mode are wrong.
    """
    config = load_task(task, Path("absent"))
    batches = iter(PatchModule(config, make_corpus(task)).train_dataloader())
    samples = [Sample(*(torch.as_tensor(part).cuda() for part in next(batches))) for _ in range(4)]
    trainees = {mode: WaitingTrainee(config, mode, "cuda") for mode in MODES}
    expected = Trainee(config, EXACT, "cuda").differentiate(samples[0])
    differences = {
        mode.name: differ(mode, trainee.differentiate(samples[0]), expected) for mode, trainee in trainees.items()
    }
    for name, difference in differences.items():
        if not difference <= MIXED_TOLERANCE:
            raise GateError(f"{name} and float32 differ by {difference:.1e}, at most {MIXED_TOLERANCE:.0e} expected")
    rates: dict[str, list[float]] = {mode.name: [] for mode in MODES}
    for turn in range(rounds):
        for mode in MODES if turn % 2 else reversed(MODES):
            rates[mode.name].append(time_steps(trainees[mode], samples, seconds))
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
    """Print the figures.

    The exit status is 1 when the gate fails, 2 without a GPU.
    """
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
