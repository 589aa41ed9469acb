"""Dense peers take turns with the restorer only after they were held to PyTorch, each by what its kind may err."""

import contextlib

import numpy as np
import pytest

from benchmarks.peers.graphs import DENSE_PEERS, ROUNDED
from benchmarks.peers.install import PeerAbsentError
from benchmarks.subjects.network import make_picture
from benchmarks.subjects.versus import check_peer, open_versus
from spair.runtime import GateError

IMAGE = make_picture(40, 56)


def peer(change):
    """A peer that computes what ONNX Runtime does, and then changes it."""

    @contextlib.contextmanager
    def open_it(workload):
        with DENSE_PEERS["plain"](workload) as compute:
            yield lambda feeds: change({name: np.array(value) for name, value in compute(feeds).items()})

    return open_it


def noisy(size):
    def change(outputs):
        noise = np.random.default_rng(0).normal(0, size, outputs["restored"].shape).astype(np.float32)
        return {**outputs, "restored": outputs["restored"] + noise * outputs["mask"]}

    return change


def flipped(outputs):
    mask = outputs["mask"].copy()
    mask[..., :4] = 1 - mask[..., :4]
    return {**outputs, "mask": mask}


@pytest.fixture
def peers(opened, monkeypatch):
    @contextlib.contextmanager
    def plain(workload):
        yield opened.dense

    @contextlib.contextmanager
    def absent(workload):
        raise PeerAbsentError("not here")
        yield

    monkeypatch.setitem(DENSE_PEERS, "plain", plain)
    monkeypatch.setitem(DENSE_PEERS, "absent", absent)
    monkeypatch.setitem(DENSE_PEERS, "wrong", peer(noisy(0.1)))


def test_peers_that_are_absent_or_wrong_are_left_out(opened, peers, capsys):
    with contextlib.ExitStack() as stack:
        runs = open_versus(opened, IMAGE, ["absent", "wrong", "plain"], stack)
        assert list(runs) == ["plain"]
        assert np.abs(runs["plain"]().astype(int) - opened.graphs(IMAGE).image).max() <= 1
    said = capsys.readouterr().err
    assert "no absent: not here" in said and "no wrong: wrong tiny differs from PyTorch by" in said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (noisy(0.002), None),
        (noisy(0.1), "differs from PyTorch by .* on average, allowed 0.005"),
        (lambda outputs: {**outputs, "restored": np.zeros_like(outputs["restored"])}, "on average"),
        (flipped, r"of its mask differ, allowed 1%"),
    ],
    ids=["rounding", "noise", "nothing", "mask"],
)
def test_a_peer_that_rounds_is_held_to_a_mean_error(opened, peers, change, words):
    (name,) = ROUNDED

    def compute(feeds):
        return change({key: np.array(value) for key, value in opened.dense(feeds).items()})

    if words is None:
        assert 0 < check_peer(opened, name, compute, IMAGE) < 0.005
        with pytest.raises(GateError, match="differs from PyTorch"):
            check_peer(opened, "plain", compute, IMAGE)
        return
    with pytest.raises(GateError, match=words):
        check_peer(opened, name, compute, IMAGE)
