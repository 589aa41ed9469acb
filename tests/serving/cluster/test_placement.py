"""Clusters get as many actors as their processors hold, and claims leave room for others."""

import pytest

from spair.runtime.errors import UserError
from spair.serving.cluster.placement import Node, place_actors

UNEQUAL = [Node(2.0), Node(9.0), Node(0.0)]


def place(nodes=UNEQUAL, *, pictures=1000, threads=None, actors=None, on_gpu=False):
    return place_actors(nodes, pictures=pictures, threads=threads, actors=actors, on_gpu=on_gpu)


@pytest.mark.parametrize(("threads", "actors"), [(None, 2), (1, 11), (2, 1 + 4), (3, 1 + 3), (8, 1 + 1), (100, 1 + 1)])
def test_nodes_get_what_their_cores_hold_and_at_least_one(threads, actors):
    assert place(threads=threads).actors == actors


def test_a_node_without_cores_takes_no_part():
    assert place(threads=1).nodes == 2


@pytest.mark.parametrize(("pictures", "wish", "actors", "nodes"), [
    (1, None, 1, 1), (3, None, 3, 2), (1000, 4, 4, 2), (1000, 50, 50, 2), (2, 50, 2, 2),
])  # fmt: skip
def test_a_wish_is_met_but_for_idle_actors(pictures, wish, actors, nodes):
    placement = place(pictures=pictures, threads=1, actors=wish)
    assert (placement.actors, placement.nodes) == (actors, nodes)


@pytest.mark.parametrize("threads", [None, 1, 2, 4, 8])
@pytest.mark.parametrize("cores", [1.0, 2.0, 4.0, 8.0, 64.0])
def test_actors_of_a_lost_node_fit_on_one_that_is_left(cores, threads):
    placement = place([Node(cores), Node(cores)], threads=threads)
    assert placement.actors * placement.cpus <= cores
    assert placement.cpus > 0


def test_each_gpu_gets_one_actor():
    placement = place([Node(8.0, 2.0), Node(8.0), Node(4.0, 1.0)], threads=1, on_gpu=True)
    assert (placement.actors, placement.nodes, placement.gpus) == (3, 2, 1.0)
    assert place(threads=1).gpus == 0.0


@pytest.mark.parametrize(
    ("nodes", "on_gpu", "lack"), [([], False, "CPU"), ([Node(0.0)], False, "CPU"), (UNEQUAL, True, "GPU")]
)
def test_a_cluster_without_the_processors_is_one_sentence(nodes, on_gpu, lack):
    with pytest.raises(UserError, match=rf"the cluster has {len(nodes)} nodes and no {lack} for an actor"):
        place(nodes, on_gpu=on_gpu)
