"""The model predicts every time that the H100 took within the factors that it states."""

import pytest

from benchmarks.estimates import fitted, h100
from benchmarks.estimates.fitted import fit_h100, list_dense_times, predict_dense, predict_sparse
from benchmarks.estimates.model import Residuals
from tests.benchmarks.estimates.test_h100 import PAGE, TABLES, read_table

STATED = Residuals(0.8, 1.35)
"""Factors of measured sparse times to the model's that docs/results/gpu.md states."""
STATED_DENSE = Residuals(0.8, 1.25)
ROWS = [*h100.list_layers(), *h100.list_networks()]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.kind}-{getattr(row, 'part', 'network')}-{row.density}")
def test_every_sparse_time_lies_in_its_interval(row):
    fit = fit_h100()
    model = predict_sparse(row, fit.efficiency, fit.shares) * 1e3
    low, high = fit.sparse.interval(model)
    assert low <= row.sparse_ms * 1.001 and row.sparse_ms <= high * 1.001
    assert STATED.low * model <= row.sparse_ms <= STATED.high * model


def test_every_dense_time_lies_in_its_interval():
    fit = fit_h100()
    for row, seconds in list_dense_times():
        for dense in (fit.shares, fit.rates):
            model = predict_dense(row, fit.efficiency, dense)
            assert STATED_DENSE.low * model <= seconds <= STATED_DENSE.high * model, row
            assert fit.dense.low * model <= seconds * 1.001 and seconds <= fit.dense.high * model * 1.001, row


def test_the_interval_has_two_sides_and_is_the_widest_that_was_seen():
    fit = fit_h100()
    parts = (fit.layers, fit.left_out, fit.network)
    assert fit.sparse == Residuals(min(part.low for part in parts), max(part.high for part in parts))
    assert fit.sparse.low < 1 < fit.sparse.high and fit.dense.low < 1 < fit.dense.high
    assert fit.layers.low < 1 < fit.layers.high


def test_numbers_of_the_fit_are_possible():
    fit = fit_h100()
    assert 1e-6 < fit.efficiency.launch < 1e-5
    assert 0 < fit.efficiency.issue < 1 and 0 < fit.efficiency.memory <= 1
    assert all(0 < share < 1 for share in fit.shares.numbers.values())
    assert 0 < fit.rates.numbers["fp32"] < 128 and 0 < fit.rates.numbers["fp16"] < 2048
    assert fit.shares.numbers["int8"] == fit.shares.numbers["fp16"], "no INT8 of cuDNN was measured"


def test_networks_decide_no_number_of_the_sparse_side(monkeypatch):
    """The whole networks are a test of the model: other times of theirs change no number that was fitted."""
    fit_h100()
    found = []
    monkeypatch.setattr(fitted, "fit", lambda gpu, points: found.append(len(points)) or fit_h100().efficiency)
    monkeypatch.setattr(fitted, "leave_out", lambda gpu, points, groups: Residuals(1.0, 1.0))
    fit_h100.__wrapped__()
    assert found == [len(h100.list_layers())]


@pytest.mark.parametrize("title", TABLES)
def test_the_page_has_the_times_of_the_model(title):
    rows = [row for row in h100.list_layers() if (row.kind, row.part) == TABLES[title]]
    fit = fit_h100()
    for row, cells in zip(rows, read_table(title), strict=True):
        sparse = predict_sparse(row, fit.efficiency, fit.shares) * 1e3
        dense = predict_dense(row, fit.efficiency, fit.shares) * 1e3
        assert cells[4:] == [
            f"{sparse:.2f}",
            f"{row.sparse_ms / sparse:.2f}",
            f"{dense:.2f}",
            f"{row.dense_ms / dense:.2f}",
        ]


def test_the_page_states_the_factors():
    fit = fit_h100()
    for part in (fit.layers, fit.left_out, fit.network, fit.dense, fit.sparse):
        assert f"{part.low:.2f} to {part.high:.2f}" in PAGE
    assert f"| {fit.efficiency.launch * 1e6:.1f} µs |" in PAGE
    assert f"| {100 * fit.efficiency.issue:.0f} % |" in PAGE
