"""The gate lets the CPU's own results through, and no seeded fault."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from spair.export.engines.gate import check
from spair.export.engines.gate.check import Answer, check_engine
from spair.export.engines.gate.pictures import Sample
from spair.runtime.errors import GateError
from spair.runtime.restorer import Restorer

LARGEST = (320, 240)


@pytest.fixture(scope="module")
def answers(tiny_bundle) -> dict[str, Answer]:
    """What the CPU gives for each sample: the stand-in for an engine."""
    kept: dict[str, Answer] = {}
    with Restorer.open(tiny_bundle, backend="onnxruntime") as restorer:
        for sample in check.make_samples(LARGEST):
            result = restorer(sample.picture, mask=sample.mask)
            kept[sample.name] = (result.image, result.mask)
    return kept


def gate(bundle, answers, change=lambda sample, picture, mask: (picture, mask)):
    """Run the gate on the stand-in, whose answers `change` spoils."""

    def run(samples: Sequence[Sample]) -> list[Answer]:
        return [change(sample, *(part.copy() for part in answers[sample.name])) for sample in samples]

    return check_engine(bundle, "fp32", run, LARGEST)


def test_equal_results_pass_and_the_report_has_what_was_allowed(tiny_bundle, answers):
    report = gate(tiny_bundle, answers)
    assert (report.precision, len(report.samples), report.psnr) == ("fp32", len(answers), 100.0)
    entry = report.to_json()
    for sample in entry["samples"]:
        assert {"name", "found", "natural", "limits"} == sample.keys()
        assert sample["found"]["unequal"] == sample["found"]["worst"] == 0
        assert sample["limits"]["worst"] <= 5.0
        least = 10 * np.log10(255**2 / sample["limits"]["mse"])
        assert least > (50 if "masked" in sample["name"] else 45)
    assert any(0.02 < sample["found"]["restored"] / (320 * 240) < 0.9 for sample in entry["samples"])


def test_results_that_are_rounded_otherwise_pass(tiny_bundle, answers):
    random = np.random.default_rng(0)

    def round_apart(sample, picture, mask):
        moved = mask & (random.random(mask.shape) < 0.05)
        return np.where(moved[..., None], np.clip(picture.astype(int) + 1, 0, 255), picture).astype(np.uint8), mask

    assert gate(tiny_bundle, answers, round_apart).psnr > 55


def shift(sample, picture, mask):
    return np.roll(picture, 1, axis=1), mask


def shift_restored(sample, picture, mask):
    return np.where(mask[..., None], np.roll(picture, 1, axis=0), picture), mask


def shift_mask(sample, picture, mask):
    return picture, np.roll(mask, 1, axis=1)


def flip_mask(sample, picture, mask):
    wrong = np.random.default_rng(1).random(mask.shape) < 0.02
    return picture, mask ^ wrong


def flip_given(sample, picture, mask):
    if sample.mask is not None:
        mask[0, 0] ^= True
    return picture, mask


def add_noise(sample, picture, mask):
    noise = np.random.default_rng(2).normal(0, 2, picture.shape)
    return np.where(mask[..., None], np.clip(np.rint(picture + noise), 0, 255), picture).astype(np.uint8), mask


def spoil_one_pixel(sample, picture, mask):
    rows, columns = np.nonzero(mask)
    if rows.size:
        picture[rows[0], columns[0]] ^= 0x20
    return picture, mask


def touch_a_clean_pixel(sample, picture, mask):
    rows, columns = np.nonzero(~mask)
    if rows.size:
        picture[rows[-1], columns[-1]] ^= 1
    return picture, mask


def swap_colours(sample, picture, mask):
    return np.ascontiguousarray(picture[..., ::-1]), mask


def leave_out_a_piece(sample, picture, mask):
    picture[:64, :64] = sample.picture[:64, :64]
    return picture, mask


def forget_everything(sample, picture, mask):
    return np.zeros_like(picture), mask


FAULTS = [
    shift,
    shift_restored,
    shift_mask,
    flip_mask,
    flip_given,
    add_noise,
    spoil_one_pixel,
    touch_a_clean_pixel,
    swap_colours,
    leave_out_a_piece,
    forget_everything,
]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_seeded_fault_is_refused(tiny_bundle, answers, fault):
    words = (
        "the fp32 engine does not restore the picture .* as ONNX Runtime does: .*, allowed are .*; the bundle was left"
    )
    with pytest.raises(GateError, match=words):
        gate(tiny_bundle, answers, fault)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda s, picture, mask: (picture[:-1], mask),
            r"gives a picture of uint8 \(239, 320, 3\)",
        ),
        (lambda s, picture, mask: (picture.astype(np.float32), mask), "gives a picture of float32"),
        (lambda s, picture, mask: (picture, mask[1:]), "gives a mask of bool"),
        (lambda s, picture, mask: (picture, mask.astype(np.uint8)), "gives a mask of uint8"),
    ],
)
def test_results_of_another_form_are_refused(tiny_bundle, answers, change, words):
    with pytest.raises(GateError, match=words):
        gate(tiny_bundle, answers, change)


def test_missing_results_are_refused(tiny_bundle):
    with pytest.raises(GateError, match="the fp32 engine restored 0 of 9 pictures"):
        check_engine(tiny_bundle, "fp32", lambda samples: [], LARGEST)


def test_a_gate_that_compared_nothing_fails(tiny_bundle, answers, monkeypatch):
    dry = [Sample("dry", np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16), bool))]
    monkeypatch.setattr(check, "make_samples", lambda largest: dry)
    with pytest.raises(GateError, match="restored no pixel of any picture, so nothing was compared"):
        check_engine(tiny_bundle, "fp32", lambda samples: [(dry[0].picture, dry[0].mask)], LARGEST)
