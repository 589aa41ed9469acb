"""The graphs of a bundle that a network needs are opened, and closed when one of them fails."""

from types import SimpleNamespace

import numpy as np
import pytest

from spair.runtime import Restorer, UserError
from spair.runtime.bundle.writer import write_bundle
from spair.runtime.opening import GraphTwoStage, open_network
from spair.runtime.tiling.costs import Tuning
from spair.runtime.tiling.spec import SpairNetwork
from spair.runtime.tiling.two_stage import Localization


def test_a_network_with_two_inputs_cannot_restore(bundles):
    fields = bundles.other().manifest.raw
    two = write_bundle(bundles.folder / "two.spair", fields, {"graphs/fp32/model.onnx": bundles.net_r})
    with pytest.raises(UserError, match=r"takes image, mask, .* only networks with one input"):
        Restorer.open(two.path)


@pytest.mark.parametrize("channels", [1, 4])
def test_a_network_whose_channels_nobody_measured_is_refused_when_it_is_opened(bundles, channels):
    fields = {**bundles.other().manifest.raw, "inputs": [{"name": "image", "channels": channels}]}
    other = write_bundle(bundles.folder / "gray.spair", fields, {"graphs/fp32/model.onnx": bundles.foreign})
    with pytest.raises(UserError, match=rf"a picture of {channels} channels, and its manifest says 3; export it again"):
        Restorer.open(other.path)


def test_packed_is_refused_where_there_is_no_packed_graph(bundles):
    with pytest.raises(UserError, match=r"no packed fp32 graph; use the dense path"):
        Restorer.open(bundles.spair().path, tile_path="packed")


def test_a_path_that_is_not_known_is_refused_and_not_taken_as_auto(bundles):
    bundle = bundles.packed(0.5)
    for opened in (lambda: Restorer.open(bundle.path, tile_path="paked"),
                   lambda: open_network(bundle, "fp32", Recorder(), path="paked")):  # fmt: skip
        with pytest.raises(UserError, match=r"the tile path is 'paked', expected one of auto, dense, packed"):
            opened()


class Recorder:
    """A loader of graphs that computes nothing, remembers what it opened, and fails where it is told to."""

    def __init__(self, *, fail_at=None, error=None, outputs=("restored",)):
        self.graphs, self.threads, self.outputs = [], [], outputs
        self._fail_at, self._error = fail_at, error

    def __call__(self, path, threads):
        if len(self.graphs) == self._fail_at:
            raise self._error
        self.graphs.append(Recorded(path.stem, self.outputs))
        self.threads.append(threads)
        return self.graphs[-1]

    @property
    def names(self):
        return [graph.name for graph in self.graphs]

    @property
    def closed(self):
        return [graph.closed for graph in self.graphs]


class Recorded:
    """A graph with one input that counts how often it was closed."""

    def __init__(self, name, outputs):
        self.name, self.inputs, self.outputs, self.closed = name, {"image": "tensor(float)"}, outputs, 0

    def run(self, feeds):
        return {name: feeds["image"] + index for index, name in enumerate(self.outputs)}

    def close(self):
        self.closed += 1


@pytest.mark.parametrize(
    ("path", "parts", "paths"),
    [
        ("auto", ["net_l", "net_r", "net_r_packed"], ("dense", "packed")),
        ("dense", ["net_l", "net_r"], ("dense",)),
        ("packed", ["net_l", "net_r_packed"], ("packed",)),
    ],
)
def test_only_the_graphs_of_the_path_are_opened_and_all_of_them_are_closed(bundles, path, parts, paths):
    opened = Recorder()
    network = open_network(bundles.packed(0.5), "fp32", opened, threads=3, path=path)
    assert (opened.names, opened.threads, network.paths) == (parts, [3] * len(parts), paths)
    assert not any(opened.closed)
    network.close()
    assert all(opened.closed)


@pytest.mark.parametrize("error", [UserError("no memory"), KeyboardInterrupt()], ids=["refused", "interrupted"])
@pytest.mark.parametrize("fail_at", [0, 1, 2])
def test_a_graph_that_does_not_open_closes_those_before_it(bundles, fail_at, error):
    opened = Recorder(fail_at=fail_at, error=error)
    with pytest.raises(type(error)):
        open_network(bundles.packed(0.5), "fp32", opened)
    assert opened.closed == [1] * fail_at


@pytest.mark.parametrize(("path", "unused"), [("dense", "net_r_packed"), ("packed", "net_r")])
def test_a_damaged_graph_is_refused_before_any_is_opened_even_if_the_path_needs_it_not(bundles, path, unused):
    bundle, opened = bundles.packed(0.5), Recorder()
    with (bundle.path / f"graphs/fp32/{unused}.onnx").open("ab") as stream:
        stream.write(b"!")
    with pytest.raises(UserError, match=rf"{unused}\.onnx was changed"):
        open_network(bundle, "fp32", opened, path=path)
    assert opened.names == []


@pytest.mark.parametrize(
    ("listed", "outputs", "chosen"),
    [
        (["second", "first"], ("first", "second"), "second"),
        (["absent"], ("first", "second"), "first"),
        ([], ("first", "restored"), "restored"),
        ([], ("first", "second"), "first"),
    ],
)
def test_a_foreign_network_restores_by_the_output_that_is_listed_first_or_by_its_own_first(
    bundles, listed, outputs, chosen
):
    fields = {**bundles.other().manifest.raw, "outputs": listed}
    bundle = write_bundle(bundles.folder / "listed.spair", fields, {"graphs/fp32/model.onnx": bundles.foreign})
    network = open_network(bundle, "fp32", Recorder(outputs=outputs))
    assert network.restored_name == chosen
    image = np.zeros((1, 3, 4, 4), np.float32)
    assert (network.run(image)[chosen] == outputs.index(chosen)).all()


def test_each_listed_size_runs_on_its_own_graph(bundles):
    raw = bundles.other().manifest.raw
    fields = {
        **raw,
        "network": {**raw["network"], "sizes": [[8, 12], [4, 4]]},
        "graphs": {"fp32": {"model": "graphs/a.onnx", "model_4x4": "graphs/b.onnx"}},
    }
    files = {"graphs/a.onnx": bundles.foreign, "graphs/b.onnx": bundles.net_r}
    bundle = write_bundle(bundles.folder / "sizes.spair", fields, files)
    opened = Recorder()
    network = open_network(bundle, "fp32", opened)
    assert opened.names == ["a", "b"]
    for graph in opened.graphs:
        graph.run = lambda feeds, name=graph.name: {"restored": name}
    for size, name in (((8, 12), "a"), ((4, 4), "b")):
        assert network.run(np.zeros((1, 3, *size), np.float32))["restored"] == name
    network.close()
    assert opened.closed == [1, 1]


def test_a_foreign_network_that_is_refused_is_closed(bundles):
    fields = {**bundles.other().manifest.raw, "inputs": [{"name": "image", "channels": 4}]}
    bundle = write_bundle(bundles.folder / "rgba.spair", fields, {"graphs/fp32/model.onnx": bundles.foreign})
    opened = Recorder()
    with pytest.raises(UserError, match="4 channels"):
        open_network(bundle, "fp32", opened)
    assert opened.closed == [1]


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"mask": np.zeros((1, 1, 8, 8), np.float64)},
        {"mask": np.zeros((1, 2, 8, 8), np.float32)},
        {"mask": np.zeros((1, 1, 8, 16), np.float32)},
        {"mask": np.zeros((8, 8), np.float32)},
        {"mask": np.zeros((1, 1, 8, 8), np.float32), "f0": np.zeros((1, 3, 4, 8), np.float32)},
    ],
)
def test_outputs_of_another_shape_are_refused_in_a_sentence(found):
    class Odd:
        def run(self, feeds):
            return found

    network = GraphTwoStage(SpairNetwork(halo_l=0, halo_r=0), Odd(), {"dense": Odd()}, Tuning.assumed(0.5))
    with pytest.raises(UserError, match="the output '(mask|f0)' of a graph is .*, expected float32"):
        network.localize(np.zeros((1, 3, 8, 8), np.float32))
    with pytest.raises(UserError, match="the output 'restored' of a graph is absent"):
        empty = {"keys": None, "key_mask": None, "scale": {1: None, 2: None}, "shift": {1: None, 2: None}}
        located = Localization(np.zeros((1, 1, 8, 8)), {0: None, 1: None, 2: None})
        network.restore_window(np.zeros((1, 3, 8, 8), np.float32), located, SimpleNamespace(**empty), "dense")
