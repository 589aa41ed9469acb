"""Sentences of `spair profile` say no more than was measured."""

import pytest

from spair.cli.profile.page import render_report
from spair.cli.profile.tables import describe_check, describe_crossover, describe_tuning, percent
from tests.cli.profile.test_page import make_report, times


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        ([times(1.0), times(3.0)], "no cross-over: packed is faster up to 100 %"),
        ([times(9.0), times(9.0)], "no cross-over: dense is faster up to 100 %"),
        ([None, None], "no packed graph"),
    ],
)
def test_curves_that_do_not_cross_say_who_wins(packed, words):
    points = [{"density": d, "dense_ms": times(5.0), "packed_ms": p} for d, p in zip((0.1, 1.0), packed, strict=True)]
    assert describe_crossover({"points": points, "crossover_density": None}) == words


def test_only_what_was_checked_is_said_to_be():
    report = make_report("x")
    (check,) = report["checks"]
    assert describe_check(check, report).endswith(
        "4 masks, adaptive and packed within 3.0e-07 of dense (allowed 1.0e-04), in up to 6 pieces, "
        "clean pixels identical"
    )
    less = describe_check({**check, "cases": 1, "gated": False, "packed": False, "pieces": 1}, report)
    assert less.endswith(
        "1 mask, adaptive within 3.0e-07 of dense (allowed 1.0e-04), in one piece, "
        "clean pixels not checked, as this network may change them"
    )
    report["checks"][0] = {**check, "packed": False}
    assert "every piece dense, and as the restorer chooses" in render_report(report)


def test_tuning_that_was_not_stored_says_so():
    entry = {"precision": "fp32", "threads": None, "backend": "onnxruntime", "crossover": 0.5, "stored": None}
    assert describe_tuning(entry).endswith("50 % of a piece's work; neither stored nor used (--no-store)")
    kernels = {**entry, "backend": "cpu", "packed_ns": 11900.0, "window_ns": 150.0}
    assert describe_tuning(kernels) == (
        "costs of the backend cpu (fp32, all cores): 12.1 microseconds for a distorted pixel; neither stored nor used "
        "(--no-store)"
    )


@pytest.mark.parametrize(("share", "text"), [(0.02, "2 %"), (0.125, "12.5 %"), (1.0, "100 %"), (0.12345, "12.3 %")])
def test_shares_have_as_few_digits_as_tell_them(share, text):
    assert percent(share) == text
