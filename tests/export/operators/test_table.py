"""The table of operators agrees with the function bodies and with itself."""

import subprocess
import sys
from pathlib import Path

import pytest

from spair.export.operators.bodies import BODIES
from spair.export.operators.table import BY_NAME, DOMAIN, OPERATORS, find_operator

IDS = [operator.name for operator in OPERATORS]


def inputs_of(name: str) -> dict[str, str]:
    return {part.name: part.type for part in BY_NAME[name].inputs}


def test_the_table_has_exactly_the_operators_with_a_body():
    assert len(set(IDS)) == len(IDS)
    assert set(IDS) == set(BODIES)


@pytest.mark.parametrize("operator", OPERATORS, ids=IDS)
def test_inputs_and_attributes_are_those_of_the_body(operator):
    body = BODIES[operator.name].to_function_proto()
    assert [part.name for part in operator.inputs] == list(body.input)
    assert set(operator.attributes) == {*body.attribute, *(part.name for part in body.attribute_proto)}
    assert operator.domain == body.domain == DOMAIN


@pytest.mark.parametrize("operator", OPERATORS, ids=IDS)
def test_masks_and_active_inputs_are_inputs(operator):
    masks = {operator.inputs[place].name for place in operator.positions_of("mask")}
    assert masks and masks == {name for name in inputs_of(operator.name) if name.endswith("mask")}
    assert operator.mask is None or operator.mask in masks
    assert set(operator.active_inputs) <= set(inputs_of(operator.name)) - masks
    assert bool(operator.active_inputs) == (operator.mask is not None)


@pytest.mark.parametrize("operator", [part for part in OPERATORS if part.listed_form], ids=lambda part: part.name)
def test_a_listed_form_takes_packed_constants_and_a_list_before_the_residual(operator):
    own, listed = inputs_of(operator.name), inputs_of(operator.listed_form)
    names = {"weight": "packed", "weight_scale": "scale"}
    expected = [(names.get(name, name), kind) for name, kind in own.items() if name != "residual"]
    lists = ["index", "count"] if operator.family == "SparseNonLocal" else ["index", "taps", "count"]
    expected += [(name, "int32") for name in lists]
    assert list(listed.items()) == expected + [item for item in own.items() if item[0] == "residual"]
    form = BY_NAME[operator.listed_form]
    assert [form.inputs[place].name for place in form.positions_of("list")] == lists
    assert set(form.attributes) - set(operator.attributes) == ({"sum_slope"} if "residual" in own else set())


FORMS = ("residual_form", "quantizing_form", "int8_form", "listed_form", "coarse_form", "joined_form")
FORMS += ("int8_output_form", "both_outputs_form", "fed_form")
"""Fields that name forms."""


@pytest.mark.parametrize("operator", OPERATORS, ids=IDS)
def test_a_form_differs_from_its_operator_as_its_field_says(operator):
    own = inputs_of(operator.name)
    if operator.residual_form:
        assert list(inputs_of(operator.residual_form).items()) == [*own.items(), ("residual", "float")]
    if operator.quantizing_form:
        assert inputs_of(operator.quantizing_form) == own | {"x": "float"}
        assert own["x"] == "int8"
    if operator.int8_form:
        scales = {"x_scale": "float32", "weight_scale": "float32"}
        assert inputs_of(operator.int8_form) == own | {"x": "int8", "weight": "int8"} | scales
    if operator.coarse_form:
        coarse = {"coarse" if name == "residual" else name: kind for name, kind in own.items()}
        assert inputs_of(operator.coarse_form) == coarse
    if operator.joined_form:
        assert list(inputs_of(operator.joined_form).items()) == [*own.items(), ("joined", "float")]
    if operator.fed_form:
        assert inputs_of(operator.fed_form) == own | {"x": "int8"}
    for gives, form in (("int8", operator.int8_output_form), ("both", operator.both_outputs_form)):
        if form:
            made = BY_NAME[form]
            assert (made.inputs, made.attributes) == (operator.inputs, (*operator.attributes, "out_scale"))
            assert (made.gives, made.int8_output_form, made.fed_form, operator.gives) == (gives, None, None, "float")
    for form in (getattr(operator, name) for name in FORMS):
        assert form is None or BY_NAME[form].family == operator.family
    assert BY_NAME[operator.family].family == operator.family


def test_forms_are_reached_from_their_operator_and_only_those_of_bundles_without_a_plugin():
    forms = {getattr(part, name) for part in OPERATORS for name in FORMS} - {None}
    assert forms | {part.family for part in OPERATORS} == set(IDS)
    assert {part.name for part in OPERATORS if part.in_bundles} == {
        "SparseConv2d",
        "SparseConv2dInt8",
        "MaskedModulation",
        "SparseNonLocal",
    }


def test_an_operator_of_another_domain_or_an_unknown_one_is_not_found():
    assert find_operator(DOMAIN, "SparseConv2d") is BY_NAME["SparseConv2d"]
    assert find_operator("", "SparseConv2d") is None
    assert find_operator(DOMAIN, "Conv") is None


def test_an_unknown_input_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="MaskedModulation has no input 'weight'; its inputs are x, mask"):
        BY_NAME["MaskedModulation"].position("weight")


def test_the_table_needs_neither_torch_nor_onnx():
    code = "import sys, spair.export.operators.table; assert not {'torch', 'onnx', 'onnxscript'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parent).returncode == 0
