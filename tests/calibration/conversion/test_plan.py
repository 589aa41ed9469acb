"""Plans of precisions."""

import pytest

from spair.calibration.conversion.plan import PrecisionPlan


@pytest.mark.parametrize("rest", ["fp16", "fp32"])
def test_a_layer_without_an_entry_has_the_precision_of_the_rest(rest):
    plan = PrecisionPlan({"a": "int8", "b": "fp32"}, rest)
    assert [plan.of(layer) for layer in ("a", "b", "c")] == ["int8", "fp32", rest]


@pytest.mark.parametrize(
    ("layers", "rest", "touched"),
    [
        ({}, "fp32", False),
        ({"a": "fp32", "b": "fp32"}, "fp32", False),
        ({"b": "int8"}, "fp32", True),
        ({"b": "fp16"}, "fp32", True),
        ({"other": "int8"}, "fp32", False),
        ({"a": "fp32", "b": "fp32"}, "fp16", True),  # halves of other layers may reach them
        ({}, "fp16", True),
    ],
)
@pytest.mark.parametrize("form", [list, set, dict.fromkeys])
def test_only_layers_that_keep_float_among_floats_are_left_alone(layers, rest, touched, form):
    assert PrecisionPlan(layers, rest).touches(form(["a", "b"])) == touched


def test_no_layer_is_touched_where_there_is_none():
    assert not PrecisionPlan({"a": "int8"}, "fp32").touches([])


def test_forced_tensors_are_listed_in_one_order_for_all_orders_of_sets():
    full = {"net_r": frozenset({"z", "a", "m"}), "net_l": frozenset({"b"}), "model": frozenset()}
    assert PrecisionPlan({}, full=full).forced == ("net_l/b", "net_r/a", "net_r/m", "net_r/z")
    assert PrecisionPlan({}).forced == ()
