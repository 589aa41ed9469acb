"""Types of nodes without weights, and their cost against the least cost, by a minimum cut."""

import random

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_flow

from spair.calibration.conversion.assignment import _PER_CAST, _PER_FULL, _PER_HALF, FULL, HALF, Assignment
from spair.calibration.conversion.layers import find_layers
from spair.calibration.conversion.plan import PrecisionPlan
from tests.calibration.conversion.graphs import convert_copy, make_chain, make_plan

NEVER = 2**30
HALVES, FLOATS = 0, 1


def find_least(assignment: Assignment) -> int:
    """Return the bytes of the cheapest assignment.

    Nodes on the side of HALVES compute in halves, and the cut tensors are cast.
    """
    edges: dict[tuple[int, int], int] = {}

    def join(start: int, end: int, cost: int) -> None:
        edges[start, end] = min(NEVER, edges.get((start, end), 0) + cost)

    reads, makes = assignment._reads, assignment._float_outputs
    chosen = [i for i in reads if i in assignment._fixed or reads[i] or makes(i)]
    vertex = {index: place + 2 for place, index in enumerate(chosen)}
    for index in chosen:
        elements = sum(assignment._sizes.get(name, 1) for name in (*reads[index], *makes(index)))
        join(HALVES, vertex[index], _PER_FULL * elements)
        join(vertex[index], FLOATS, _PER_HALF * elements)
        if index in assignment._fixed:
            join(*((HALVES, vertex[index]) if assignment._fixed[index] == HALF else (vertex[index], FLOATS)), NEVER)
    count = len(chosen) + 2
    for name in assignment.floats:
        users = {vertex.get(index, FLOATS) for index in assignment._readers.get(name, ())}
        users |= {FLOATS} if name in assignment._shown else set()
        if (name not in assignment._inputs and name not in assignment._makers) or not users:
            continue
        for user in users | {vertex.get(assignment._makers.get(name, -1), FLOATS)}:
            join(user, count, NEVER)
            join(count + 1, user, NEVER)
        join(count, count + 1, _PER_CAST * assignment._sizes.get(name, 1))
        count += 2
    starts, ends = zip(*edges, strict=True)
    costs = np.array(list(edges.values()), np.int32)
    return int(maximum_flow(csr_matrix((costs, (starts, ends)), (count, count)), HALVES, FLOATS).flow_value)


@pytest.mark.parametrize("part", ["net_l", "net_r", "model"])
def test_no_island_costs_more_than_it_saves(network, part):
    model, mixed = network.models[part], random.Random(0)
    layers = find_layers({part: model})
    for share, above in ((0.0, 0.0), (0.1, 0.0), (0.3, 0.0), (0.5, 0.01), (0.8, 0.01), (0.95, 0.01)):
        kinds = {layer.name: "fp32" if mixed.random() < share else "fp16" for layer in layers}
        assignment = Assignment(model, PrecisionPlan(kinds, "fp16"))
        found, least = assignment._total(assignment.solve().nodes), find_least(assignment)
        assert least <= found <= (1 + above) * least, share


def test_what_no_half_holds_stays_float(network):
    model, layer = network.models["net_r"], network.layers[-1]
    source = layer.uses[0].source
    full = {"net_r": frozenset({source})}
    plan = make_plan(network, "fp16", full=full)
    kinds = Assignment(model, plan, full["net_r"]).solve()
    touching = [i for i, node in enumerate(model.graph.node) if source in (*node.input, *node.output)]
    assert len(touching) >= 2 and all(kinds.nodes[i] == FULL for i in touching)
    assert HALF in kinds.nodes.values()
    assert Assignment(model, make_plan(network, "fp16")).solve().nodes[touching[-1]] == HALF


@pytest.mark.parametrize(
    ("first", "second", "casts", "kinds"),
    [
        ("fp32", "fp32", 0, [FULL, FULL]),  # halves between two float layers would cost two casts
        ("fp16", "fp16", 2, [HALF, HALF]),
        ("fp32", "fp16", 2, None),  # one on the way, wherever, and the output's
        ("fp16", "fp32", 2, None),
    ],
)
def test_followers_go_where_the_fewest_bytes_are_cast(first, second, casts, kinds):
    model = make_chain("Relu", "Sigmoid")
    solved = Assignment(model, PrecisionPlan({"first": first, "second": second}, "fp16")).solve()
    assert solved.casts == casts
    assert kinds is None or [solved.nodes[1], solved.nodes[2]] == kinds
    got = convert_copy(model, PrecisionPlan({"first": first, "second": second}, "fp16"))
    assert sum(node.op_type == "Cast" for node in got.graph.node) == casts


@pytest.mark.parametrize("kind", ["Softmax", "Exp", "GlobalAveragePool"])
def test_sums_and_exponentials_stay_float(kind):
    model = make_chain("Relu", kind, "Relu")
    solved = Assignment(model, PrecisionPlan({}, "fp16")).solve()
    assert solved.nodes[2] == FULL and solved.nodes[0] == solved.nodes[4] == HALF
