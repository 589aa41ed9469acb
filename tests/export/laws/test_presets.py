"""Other networks than tiny: one that does not gate its output, and the preset base."""

import dataclasses

import onnx
import pytest
import torch

from spair.export import exporter, graphs
from spair.export.parity import check as parity
from spair.export.parity import samples
from spair.network import BASE, SPAIR, TINY

pytestmark = pytest.mark.early

UNGATED = dataclasses.replace(
    TINY, name="ungated", local_channels=(4, 6, 8), detail_channels=2, channels=(6, 8, 8), pairs=(1, 1, 1),
    attention_channels=4, gate_output=False,
)  # fmt: skip


def build(preset) -> SPAIR:
    """Random weights, none of them zero, and a mask that is neither empty nor full."""
    torch.manual_seed(5)
    model = SPAIR(preset).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("second.weight") and "net_r" in name:  # zero at the start of training
                parameter.normal_(0.0, 0.02)
        model.net_r.out.weight.normal_(0.0, 0.02)
        logits, _ = model.net_l(torch.rand(1, 3, 64, 64))
        model.net_l.head.bias[:4] += model.logit_threshold - logits.quantile(0.7)
    return model


def export(model: SPAIR, part: str, tmp_path):
    spec = graphs.spair_graphs(model)[part]
    graph = graphs.export_graph(spec)
    onnx.save(graph, tmp_path / f"{part}.onnx")
    report = parity.check_parity({part: spec}, {part: tmp_path / f"{part}.onnx"}, model, lambda step: None)
    return graph, report["modules"][part]


@pytest.mark.whole
def test_without_a_gate_the_last_convolution_is_dense_and_reaches_clean_pixels(tmp_path):
    model = build(UNGATED)
    graph, report = export(model, "model", tmp_path)
    assert graphs.operator_counts([graph]) == exporter.expected_operators(model)
    gated = SPAIR(dataclasses.replace(UNGATED, gate_output=True))
    counts = {"SparseConv2d": 1, "MaskedModulation": 0, "SparseNonLocal": 0}
    expected = exporter.expected_operators(gated)
    assert exporter.expected_operators(model) == {name: expected[name] - less for name, less in counts.items()}
    assert report["passed"], report
    assert report["clean"]["mean_abs"] > 0  # they are computed, not copied


def test_the_preset_base_exports_with_all_its_operators(tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "MULTIPLES", ((1, 2), (2, 3)))
    model = build(BASE)
    graph, report = export(model, "net_r", tmp_path)
    expected = exporter.expected_operators(model)
    del expected["MaskedModulation"]  # its statistics are inputs of this part
    assert graphs.operator_counts([graph]) == expected
    assert expected["SparseConv2d"] == 3 + 2 * sum(BASE.pairs) + 2 + 4 + 1
    assert report["passed"], report
    assert report["masked"]["mean_abs"] > 0
