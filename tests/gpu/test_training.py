"""The benchmark of compiled training: what it refuses anywhere, and the whole of it on a GPU."""

import sys

import pytest
import torch

from benchmarks.gpu import training
from benchmarks.training import StepMode, differ

MIXED, FULL = StepMode("mixed", mixed=True), StepMode("full")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here, so the benchmark would run")
def test_without_a_gpu_the_benchmark_says_so(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["training"])
    assert training.main() == 2
    assert "PyTorch finds no CUDA GPU" in capsys.readouterr().err


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no CUDA GPU here")
def test_compiled_steps_give_the_gradients_of_the_others():
    report = training.compare("rain", rounds=1, seconds=0.2)
    assert set(report["gradient_differences"]) == set(report["steps"]) == {"eager", "compiled"}


@pytest.mark.parametrize(("mode", "expected"), [(MIXED, 0.5), (FULL, 1.0)], ids=["all weights", "the worst weight"])
def test_gradients_differ_by_what_they_are_off(mode, expected):
    """One of two weights has no gradient where it should have 1.5, the other the right one of norm 2.6."""
    right = [torch.tensor([1.5]), torch.full((3,), 1.5)]
    wrong = [torch.tensor([0.0]), torch.full((3,), 1.5)]
    assert differ(mode, (1.0, wrong), (1.0, right)) == pytest.approx(expected, rel=1e-5)
    assert differ(mode, (1.0, right), (1.0, right)) == 0.0


def test_a_wrong_loss_differs_though_its_gradients_do_not():
    assert differ(FULL, (3.0, [torch.ones(2)]), (2.0, [torch.ones(2)])) == pytest.approx(0.5)
