"""Each threshold is measured once, with its times, beside the model's own."""

import types

import numpy as np
import pytest

from spair.runtime import UserError
from spair.runtime.bounds.thresholds import choose_threshold
from spair.training.evaluation.session.thresholds import check_thresholds, measure_thresholds, read_thresholds


def test_a_list_is_sorted_and_each_number_taken_once():
    assert read_thresholds("0.5, 0.1,1,0.50,0", False) == (0.0, 0.1, 0.5, 1.0)
    assert read_thresholds(None, True) == ()


@pytest.mark.parametrize("text", ["", "0.1,", "a", "0.1;0.2", "best", "0.1,1.5", "-1", "nan"])
def test_what_is_no_list_is_refused(text):
    with pytest.raises(UserError, match=r"--thresholds has '.*', expected numbers from 0 to 1 with commas"):
        read_thresholds(text, False)


def test_masks_alone_have_no_quality_to_measure():
    with pytest.raises(UserError, match="--thresholds compares restored pictures with clean ones; give --clean"):
        read_thresholds("0.1", True)


class Restorer:
    """A restorer whose pictures take as many seconds as its threshold says."""

    scale, threshold = 1, 0.35

    def __init__(self, backend="cpu"):
        self.backend, self.flips, self.now, self.asked = backend, 1, 0.0, []

    def choose_threshold(self, wanted):
        return choose_threshold(wanted, own=None, has_mask=False)

    def __call__(self, image, threshold):
        self.asked.append(threshold)
        self.now += threshold
        return types.SimpleNamespace(image=image, mask=None)


class Kind:
    """Two pictures, and a score that tells the threshold."""

    def measure(self, restore, pairs, *, model, progress, keep):
        for done, pair in enumerate(pairs, 1):
            restore(np.zeros((1, 1, 3)))
            progress(done, len(pairs), pair)
        return {"psnr_y": 1.0, "images": [1], "input": {}, "model": model, "density": 0.5}


@pytest.mark.parametrize(("backend", "computed"), [("cpu", True), ("onnxruntime", True), ("cuda", False)])
def test_every_threshold_has_its_row_and_the_own_one_is_added(backend, computed):
    restorer, steps = Restorer(backend), []
    clocks = (lambda: restorer.now, lambda: 2.0 * restorer.now)
    rows = measure_thresholds(restorer, ["a", "b"], Kind(), (0.5, 0.1), lambda *step: steps.append(step), clocks)
    assert restorer.asked == [0.1, 0.1, 0.35, 0.35, 0.5, 0.5]
    assert [row["threshold"] for row in rows] == [0.1, 0.35, 0.5] and [row["own"] for row in rows] == [0, 1, 0]
    assert [row["ms"] for row in rows] == pytest.approx([100, 350, 500])
    assert [row["processor_ms"] for row in rows] == (pytest.approx([200, 700, 1000]) if computed else [None] * 3)
    assert rows[0].keys() == {"threshold", "own", "ms", "processor_ms", "psnr_y", "density"}
    assert steps == [(place + 1, 6, "ab"[place % 2]) for place in range(6)]


def test_a_model_that_takes_none_is_refused_before_any_work():
    with pytest.raises(UserError, match="finds no mask; leave the threshold out"):
        check_thresholds(Restorer(), (0.1,))
    check_thresholds(Restorer(), ())
