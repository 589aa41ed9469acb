"""The layers of the network as engines run them."""

from collections import Counter
from dataclasses import replace

from benchmarks.subjects.layers import Attention, Compose, Index, Modulation, SparseLayer, list_operators, rewrite
from benchmarks.subjects.quantized import quantize_network


def test_every_operator_of_the_network_is_listed(operators):
    sparse = [operator for operator in operators if isinstance(operator, SparseLayer)]
    assert [len([layer for layer in sparse if layer.scale == scale]) for scale in range(3)] == [7, 7, 8]
    assert [(layer.channels, layer.outputs, layer.kernel) for layer in sparse if layer.clean_input] == [
        (3 + 8, 48, 3),
        (3 + 24, 64, 3),
        (3 + 32, 64, 3),
    ]
    assert [layer.outputs for layer in sparse if layer.outputs == 3] == [3]
    assert [operator for operator in operators if isinstance(operator, Modulation)] == [
        Modulation(1, 24),
        Modulation(2, 32),
    ]
    assert [(a.scale, a.channels, a.outputs) for a in operators if isinstance(a, Attention)] == [(2, 32, 32)]
    assert [operator for operator in operators if isinstance(operator, Index)] == [Index(0), Index(1), Index(2)]
    assert operators[-1] == Compose(0, 3)


def test_passes_for_engines_list_pixels_once_and_read_other_tensors_as_they_are(operators, first_operators):
    layers = [operator for operator in operators if isinstance(operator, SparseLayer)]
    assert all(layer.listed for layer in layers)
    assert [(layer.scale, layer.channels, layer.outputs, layer.sum_slope) for layer in layers if layer.coarse] == [
        (1, 64, 64, 0.0),
        (0, 48, 48, 0.0),
    ]
    assert all(operator.listed for operator in operators if isinstance(operator, Attention))
    assert [(layer.scale, layer.channels, layer.joined) for layer in layers if layer.joined] == [
        (0, 8 + 3, 3),
        (1, 24 + 3, 3),
        (2, 32 + 3, 3),
    ]
    first = [operator for operator in first_operators if isinstance(operator, SparseLayer)]
    assert not any(layer.listed or layer.coarse or layer.joined for layer in first)
    sizes = [Counter((layer.scale, layer.channels, layer.outputs, layer.kernel) for layer in part)
             for part in (layers, first)]  # fmt: skip
    assert sizes[0] == sizes[1]
    assert not any(isinstance(operator, Index | Compose) for operator in first_operators)


def test_layers_of_a_converted_network_have_types_of_their_own(model, graph, operators):
    quantized = list_operators(model, rewrite(quantize_network(graph)))
    layers = [operator for operator in quantized if isinstance(operator, SparseLayer)]
    assert [replace(layer, types=None, gives="float") for layer in layers] == [
        operator for operator in operators if isinstance(operator, SparseLayer)
    ]
    kinds = Counter(layer.types for layer in layers)
    assert kinds == {("int8", "int8", "fp16"): 17, ("fp16", "int8", "fp16"): 3, ("fp16", "fp16", "fp16"): 2}
    assert Counter(layer.gives for layer in layers) == {"int8": 10, "both": 7, "float": 5}
    assert not any(operator.types for operator in operators if isinstance(operator, SparseLayer))


def test_the_first_passes_fuse_sums_and_spare_zeros(model, graph, first_operators):
    before = [layer for layer in list_operators(model, graph) if isinstance(layer, SparseLayer)]
    after = [layer for layer in first_operators if isinstance(layer, SparseLayer)]
    assert not any(layer.residual for layer in before)
    assert all(layer.clear_output for layer in before)
    assert sum(layer.residual for layer in after) == 9  # six pairs, the attention, two laterals
    assert not any(layer.clear_output for layer in after)
