import contextlib
import json
import sys

import numpy as np
import pytest
import torch

from benchmarks import sparse_chain
from benchmarks.common.measuring import Times
from benchmarks.peers.install import PeerAbsentError
from benchmarks.sparse_chain import SINGLE, Contender, check_contender, judge, make_row, measure, parse_arguments, show
from benchmarks.subjects.chain import Chain, compute_reference, make_input
from spair.runtime.cpu.library import unavailable
from spair.runtime.errors import GateError

SMALL = ["--channels", "8", "--side", "16", "--threads", "1", "--repeat", "1"]
needs_kernels = pytest.mark.skipif(unavailable() is not None, reason="a C++ compiler is not installed")


@pytest.fixture(autouse=True)
def no_package_is_installed(monkeypatch):
    """No network in tests: peers that would be installed are absent."""

    def refuse(name):
        raise PeerAbsentError(f"{name} is not for tests")

    monkeypatch.setattr("benchmarks.peers.graphs.load_package", refuse)
    monkeypatch.setattr("benchmarks.peers.spconv_chain.load_package", refuse)
    monkeypatch.setattr("benchmarks.common.plotting.load_package", refuse)
    monkeypatch.setattr("benchmarks.sparse_chain.measure_peak", lambda threads, folder: 100.0)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def small_chain():
    torch.manual_seed(0)
    chain = Chain(2, 3).eval().requires_grad_(False)
    mask = np.zeros((12, 9), bool)
    mask[2:9, 3:7] = True
    return chain, *make_input(2, 12, np.pad(mask, ((0, 0), (0, 3))))


def test_right_maps_and_rows_pass_the_gate():
    chain, x, mask = small_chain()
    expected = compute_reference(chain, x, mask)
    assert np.abs(expected).max() > 0.1
    assert check_contender("map", expected.astype(np.float32), expected, mask) < 1e-6
    assert check_contender("rows", expected[0][:, mask[0, 0] > 0].T, expected, mask) == 0.0


@pytest.mark.parametrize(
    "change", ["zeros", "shifted", "dropped pixel", "touched clean pixel", "rows in another order"]
)
def test_a_wrong_contender_fails_the_gate(change):
    chain, x, mask = small_chain()
    expected = compute_reference(chain, x, mask)
    where = tuple(np.argwhere(np.abs(expected) > 1e-3)[0])
    wrong = expected.copy()
    if change == "zeros":
        wrong[:] = 0.0
    elif change == "shifted":
        wrong = np.roll(expected, 1, axis=3)
    elif change == "dropped pixel":
        wrong[where] = 0.0
    elif change == "touched clean pixel":
        wrong[0, 0, 0, 0] = 1e-6
    else:
        wrong = expected[0][:, mask[0, 0] > 0].T[::-1]
    with pytest.raises(GateError, match="contender"):
        check_contender("contender", wrong, expected, mask)


@needs_kernels
def test_a_small_run_reports_everything(capsys):
    arguments = parse_arguments(
        [*SMALL, "--densities", "0,0.1,1", "--masks", "streak,blob", "--peers", "eager,maskless"]
    )
    report = json.loads(json.dumps(measure(arguments)))
    assert len(report["rows"]) == 6 and report["absent"] == {}
    for row in report["rows"]:
        assert set(row["ms"]) == {"dense", "packed", "rows", "eager", "maskless"}
        assert row["max_error"] <= 1e-4 and row["over_spconv"] is None
    assert [row["over_floor"] is None for row in report["rows"]] == 2 * [True, False, False]
    assert {target["passed"] for target in report["targets"] if "spconv" in target["name"]} == {None}
    show(report)
    assert "not measured blob, 3 %" in capsys.readouterr().out


@needs_kernels
def test_peers_that_cannot_be_had_are_reported_with_their_reason(capsys):
    arguments = parse_arguments([*SMALL, "--densities", "0.1", "--masks", "blob", "--peers", "openvino,spconv"])
    report = measure(arguments)
    assert report["absent"] == {name: f"{name} is not for tests" for name in ("openvino", "spconv")}
    assert set(report["rows"][0]["ms"]) == {"dense", "packed", "rows"}
    show(report)
    assert "absent: spconv: spconv is not for tests" in capsys.readouterr().out


def test_kernels_that_cannot_be_had_leave_the_packed_chain():
    arguments = parse_arguments(["--channels", "2", *SMALL[2:], "--densities", "0.1", "--masks", "blob", "--peers", ""])
    report = measure(arguments)
    assert "8 does not divide" in report["absent"]["rows"]
    row = report["rows"][0]
    assert set(row["ms"]) == {"dense", "packed"}
    assert row["speedup"] == row["ms"]["dense"]["median"] / row["ms"]["packed"]["median"]


@pytest.mark.parametrize("wrong_at", ["always", "only under masks"])
def test_a_wrong_contender_ends_the_run_without_times(monkeypatch, capsys, tmp_path, wrong_at):
    genuine = sparse_chain.gather_contenders

    def gather(stack: contextlib.ExitStack, *rest):
        contenders, absent = genuine(stack, *rest)

        def prepare(x, mask):
            right = contenders["dense"].prepare(x, mask)
            return lambda: right() * np.float32(0.0 if wrong_at == "always" or not mask.all() else 1.0)

        return {**contenders, "cheat": Contender(prepare)}, absent

    monkeypatch.setattr(sparse_chain, "gather_contenders", gather)
    file = tmp_path / "report.json"
    words = [*SMALL, "--densities", "0.3", "--masks", "blob", "--peers", "", "--json", str(file)]
    monkeypatch.setattr(sys, "argv", ["sparse_chain", *words])
    assert sparse_chain.main() == 1
    captured = capsys.readouterr()
    assert captured.out == "" and "error: cheat differs from PyTorch" in captured.err
    assert not file.exists()


def test_missed_targets_are_no_failure(monkeypatch, capsys, tmp_path):
    file, plot = tmp_path / "report.json", tmp_path / "plot.png"
    words = [*SMALL, "--densities", "1", "--masks", "streak", "--peers", "", "--json", str(file), "--plot", str(plot)]
    monkeypatch.setattr(sys, "argv", ["sparse_chain", *words])
    assert sparse_chain.main() == 0
    assert json.loads(file.read_text())["benchmark"] == "sparse_chain"
    assert "no plot: matplotlib is not for tests" in capsys.readouterr().err


def row(shape, density, packed, spconv=None):
    times = {"dense": Times(120.0, 120.0, 120.0), "packed": Times(packed, packed, packed)}
    if spconv:
        times["spconv"], times[f"packed{SINGLE}"] = Times(spconv, spconv, spconv), Times(packed, packed, packed)
    return make_row(shape, density, pairs=1, floor=4.0, error=0.0, times=times)


def test_targets_are_judged_on_streaks_and_blobs():
    rows = [
        row("streak", 0.03, 8.0, 9.0),
        row("streak", 0.1, 8.0, 7.0),
        row("streak", 1.0, 100.0, 10.0),
        row("blob", 0.1, 21.0),
        row("uniform", 0.03, 60.0),
    ]
    verdicts = {target.name: (target.measured, target.passed) for target in judge(rows)}
    assert verdicts == {
        "streak, 3 %: speed-up over dense": (15.0, True),
        "streak, 10 %: speed-up over dense": (15.0, True),
        "streak, 2 to 50 %: least speed-up over spconv": (7.0 / 8.0, False),
        "streak, 10 %: times the floor": (2.0, True),
        "blob, 3 %: speed-up over dense": (None, None),
        "blob, 10 %: speed-up over dense": (pytest.approx(120 / 21), False),
        "blob, 2 to 50 %: least speed-up over spconv": (None, None),
        "blob, 10 %: times the floor": (5.25, False),
    }
