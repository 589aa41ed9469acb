"""ONNX Runtime's trace becomes layers: warm-up left out, calls added up, names and sizes that can be placed."""

import json

import pytest

from spair.runtime.backends.trace import describe_layer, name_layer, read_trace, sum_by_operator


def node(name, operator, start, duration, inputs=((1, 3, 8, 8),), outputs=((1, 3, 8, 8),), index="0"):
    shapes = {
        f"{side}_type_shape": [{"float": list(shape)} for shape in group]
        for side, group in (("input", inputs), ("output", outputs))
    }
    arguments = {"op_name": operator, "node_index": index, **shapes}
    return {"cat": "Node", "name": f"{name}_kernel_time", "ts": start, "dur": duration, "args": arguments}


def run(start, duration):
    return {"cat": "Session", "name": "model_run", "ts": start, "dur": duration, "args": {}}


@pytest.fixture
def write(tmp_path):
    def write_events(*events):
        load = {"cat": "Session", "name": "session_initialization", "ts": 0, "dur": 9999, "args": {}}
        (tmp_path / "trace.json").write_text(json.dumps([load, *events]))
        return tmp_path / "trace.json"

    return write_events


def test_times_are_those_of_one_picture_after_the_warm_up(write):
    events = []
    for picture, factor in enumerate((100, 1, 3)):
        for call in range(2):
            start = 10_000 * picture + 1000 * call
            events += [node("node_conv2d", "Conv", start + 1, 300 * factor), run(start, 400 * factor)]
    found = read_trace(write(*reversed(events)), warm_up=1, pictures=2)
    assert (found.total_ms, found.calls) == (1.6, 2)
    (layer,) = found.layers
    assert (layer.name, layer.operator, layer.ms, layer.share) == ("conv2d", "Conv", 1.2, 0.75)


def test_the_longest_layer_is_first_and_nodes_of_one_name_stay_apart(write):
    path = write(
        run(0, 1000),
        node("", "Add", 1, 100, index="1"),
        node("", "Mul", 2, 300, index="2"),
        node("late_fence_before", "Mul", 3, 500) | {"name": "late_fence_before"},
    )
    layers = read_trace(path, warm_up=0, pictures=1).layers
    assert [(layer.name, layer.ms) for layer in layers] == [("Mul", 0.3), ("Add", 0.1)]


def test_sizes_are_those_of_the_longest_call(write):
    path = write(
        run(0, 100),
        node("gather", "Gather", 1, 10, inputs=[(5, 3), (7,)], outputs=[(7, 3)]),
        node("gather", "Gather", 2, 40, inputs=[(50, 3), (70,)], outputs=[(70, 3)]),
    )
    assert read_trace(path, warm_up=0, pictures=1).layers[0].what == "50x3, 70 to 70x3"


@pytest.mark.parametrize("swapped", [False, True])
def test_a_loop_has_only_the_time_outside_of_its_body(write, swapped):
    inner = [
        node("gemm", "Gemm", 10, 300, index="0"),
        node("then", "If", 310, 590, index="1"),
        node("deep", "Add", 310, 590, index="0"),  # all of the If, to the microsecond
    ]
    inner[1:] = inner[:0:-1]  # written when they are over: the inner one first
    outer = [node("loop", "Scan", 10, 900, index="0"), node("after", "Add", 910, 50, index="1")]
    elsewhere = node("beside", "Mul", 20, 500, index="2") | {"tid": 7}
    groups = (outer, inner) if swapped else (inner, outer)
    trace = read_trace(write(run(0, 1000), *groups[0], *groups[1], elsewhere), warm_up=0, pictures=1)
    assert {layer.name: layer.ms for layer in trace.layers} == {
        "gemm": 0.3, "deep": 0.59, "then": 0, "loop": 0.01, "after": 0.05, "beside": 0.5,
    }  # fmt: skip


@pytest.mark.parametrize("runs", [0, 1, 5])
def test_runs_that_do_not_fit_the_pictures_are_refused(write, runs):
    path = write(*(run(100 * index, 10) for index in range(runs)))
    with pytest.raises(ValueError, match=rf"has {runs} runs, expected as many for each of 2 pictures"):
        read_trace(path, warm_up=1, pictures=1)


def test_operators_are_summed(write):
    path = write(
        run(0, 1000),
        node("a", "Conv", 1, 100),
        node("b", "Conv", 2, 200),
        node("c", "Add", 3, 250),
    )
    assert sum_by_operator(read_trace(path, warm_up=0, pictures=1).layers) == [
        {"operator": "Conv", "count": 2, "ms": 0.3, "share": 0.3},
        {"operator": "Add", "count": 1, "ms": 0.25, "share": 0.25},
    ]


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("ReorderInput_token_26", "ReorderInput_token_26"),
        ("/MatmulFusion/", "MatmulFusion"),
        ("relu_1_nchwc", "relu_1"),
    ],
)
def test_names_lose_their_wrapping_only(raw, name):
    assert name_layer(raw) == name


@pytest.mark.parametrize(
    ("operator", "inputs", "outputs", "what"),
    [
        ("FusedMatMul", [(1, 32, 50), (1, 32, 9)], [(1, 50, 9)], "matrix product, 1x32x50 to 1x50x9"),
        ("ReorderOutput", [(1, 8, 4, 4)], [(1, 3, 4, 4)], "from blocked channels, 1x3x4x4"),
        ("Max", [(1, 1, 4, 4), ()], [(1, 1, 4, 4)], "1x1x4x4 to 1x1x4x4"),
        ("Range", [(), ()], [(7,)], "a number to 7"),
        ("Shape", [], [], "a number to 1"),
    ],
)
def test_odd_nodes_are_described_too(operator, inputs, outputs, what):
    assert describe_layer(operator, inputs, outputs) == what
