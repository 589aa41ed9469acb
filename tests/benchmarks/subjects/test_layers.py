"""The layers of the network as engines run them."""

from benchmarks.subjects.layers import Attention, Modulation, SparseLayer, list_operators


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


def test_passes_for_engines_fuse_sums_and_spare_zeros(model, graph, operators):
    before = [layer for layer in list_operators(model, graph) if isinstance(layer, SparseLayer)]
    after = [layer for layer in operators if isinstance(layer, SparseLayer)]
    assert not any(layer.residual for layer in before)
    assert all(layer.clear_output for layer in before)
    assert sum(layer.residual for layer in after) == 9  # six pairs, the attention, two laterals
    assert not any(layer.clear_output for layer in after)
