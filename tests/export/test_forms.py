"""The freest form that equals PyTorch is taken, and what others failed of is said."""

import copy

import onnx
import pytest
import torch
from torch import nn

from spair.export import forms
from spair.export.foreign import ForeignInterface, adapt
from spair.export.forms import FIXED, FREE, ONE, find_form
from spair.runtime import GateError, UserError


@pytest.fixture(scope="module")
def graph():
    """A valid graph that stands for whatever is exported."""
    image, restored = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 3, "h", "w"])
        for name in ("image", "restored")
    )
    node = onnx.helper.make_node("Identity", ["image"], ["restored"])
    return onnx.helper.make_model(
        onnx.helper.make_graph([node], "g", [image], [restored]),
        opset_imports=[onnx.helper.make_opsetid("", 18)],
        ir_version=9,
    )


class Changed(nn.Module):
    """Adds a number where a condition on the shape holds, which the graph that stands for it does not."""

    def __init__(self, condition, amount=0.01):
        super().__init__()
        self.condition, self.amount = condition, amount

    def forward(self, image):
        return image + self.amount * bool(self.condition(image.shape))


def adaptation(condition, amount=0.01, **fields):
    return adapt(Changed(condition, amount), ForeignInterface(**fields))


@pytest.fixture
def export(monkeypatch, graph):
    seen = []

    def make(spec):
        seen.append(spec)
        return copy.deepcopy(graph)

    monkeypatch.setattr(forms, "export_graph", make)
    return seen


def find(one, tmp_path):
    return find_form(one, tmp_path, lambda step: None)


def test_the_freest_form_comes_first(export, tmp_path):
    form = find(adaptation(lambda shape: False), tmp_path)
    assert form.name == FREE and form.notes == () and list(form.graphs) == ["model"]
    assert export[0].free_batch and export[0].free_size


def test_a_graph_that_is_wrong_for_one_picture_alone_is_exported_for_one(export, tmp_path):
    form = find(adaptation(lambda shape: shape[0] != 1), tmp_path)
    assert form.name == ONE and form.parity["passed"]
    assert f"{FREE} fails: the graph differs from PyTorch by" in form.notes[0]
    assert not export[1].free_batch and export[1].inputs["image"][0].shape[0] == 1


def test_listed_sizes_come_last_and_each_gets_its_graph(export, tmp_path):
    one = adaptation(lambda shape: tuple(shape[2:]) not in ((16, 24), (8, 8)), sizes=((16, 24), (8, 8)))
    form = find(one, tmp_path)
    assert form.name == FIXED and list(form.graphs) == ["model", "model_8x8"] == list(form.files)
    assert [note.partition(" fails")[0] for note in form.notes] == [FREE, ONE]
    assert form.parity["cases"] == 2


def test_a_network_of_no_form_is_told_why_each_failed_and_of_sizes(export, tmp_path):
    with pytest.raises(
        GateError, match=rf"Changed cannot be exported: {FREE} fails: .*; {ONE} fails: .* --sizes"
    ) as caught:
        find(adaptation(lambda shape: shape[2] < 8), tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(GateError, match=f"{FIXED} fails.*traceable"):
        find(adaptation(lambda shape: shape[2] < 90, sizes=((16, 16),)), tmp_path)


def test_an_error_of_the_exporter_is_a_reason(monkeypatch, tmp_path):
    def fail(spec):
        raise UserError(
            "Adapted cannot be exported with free sizes: it branches; make its forward traceable by torch.export"
        )

    monkeypatch.setattr(forms, "export_graph", fail)
    with pytest.raises(GateError, match="fails: Changed cannot be exported with free sizes: it branches; one picture"):
        find(adaptation(lambda shape: False), tmp_path)


def test_an_error_of_onnx_runtime_is_a_reason(monkeypatch, tmp_path, graph):
    def make(spec):
        fixed = copy.deepcopy(graph)
        fixed.graph.node[0].op_type = "Reshape"
        fixed.graph.node[0].input.append("shape")
        fixed.graph.initializer.append(onnx.numpy_helper.from_array(torch.tensor([1, 3, 8, 9]).numpy(), "shape"))
        return fixed

    monkeypatch.setattr(forms, "export_graph", make)
    with pytest.raises(GateError, match=r"another size than the traced one, in its operator Reshape \(") as caught:
        find(adaptation(lambda shape: False), tmp_path)
    words = str(caught.value)
    assert "onnxruntime_src" not in words and str(tmp_path) not in words and len(words) < 900


def test_pooling_to_cells_is_named(export, tmp_path):
    class Pooling(nn.Module):
        def forward(self, image):
            return image + 0.1 * nn.functional.adaptive_avg_pool2d(image, 2).amax((2, 3), keepdim=True)

    with pytest.raises(GateError, match=r"fixed number of cells \(adaptive_avg_pool2d to 2\).*--sizes"):
        find(adapt(Pooling(), ForeignInterface()), tmp_path)


@pytest.mark.parametrize("amount", [3e-5, 1e-3])
def test_a_fault_is_large_or_small_against_what_a_network_does(export, tmp_path, amount):
    """An offset is no effect of its own: a network that changes a picture by 0 may not be wrong by 3e-5."""
    with pytest.raises(GateError):
        find(adaptation(lambda shape: shape[2] == 37, amount), tmp_path)
