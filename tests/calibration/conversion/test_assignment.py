"""Cost of assignments against the least cost, by a minimum cut."""

import random

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_flow

from spair.calibration.conversion.assignment import _PER_CAST, _PER_FULL, _PER_HALF, HALF, Assignment
from spair.calibration.conversion.layers import find_layers
from spair.calibration.conversion.plan import PrecisionPlan

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
