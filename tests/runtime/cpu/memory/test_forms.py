"""Values are made in the forms that their readers want."""

import numpy as np
import pytest

from spair.runtime.cpu.library.structures import Results
from spair.runtime.cpu.memory.buffers import assign_buffers
from spair.runtime.cpu.memory.forms import (
    FLOAT,
    HALF,
    Form,
    Plan,
    Wanted,
    choose_form,
    describe_results,
    round_values,
    to_halves,
)

FINE, COARSE = Form("i8", 0.25), Form("i8", 0.5)


@pytest.mark.parametrize(
    ("step", "halves", "expected"),
    [(0.0, False, FLOAT), (0.0, True, HALF), (0.25, False, FINE), (0.25, True, FINE)],
)
def test_a_layer_of_int8_reads_steps_whatever_the_others_do(step, halves, expected):
    assert choose_form(step, halves=halves) == expected


@pytest.mark.parametrize(
    ("forms", "plan", "apart"),
    [
        ([], Plan(True, None, ()), Plan(True, None, ())),
        ([FLOAT], Plan(True, None, ()), Plan(True, None, ())),
        ([FINE], Plan(False, FINE, ()), Plan(True, None, (FINE,))),
        ([FINE, FLOAT], Plan(True, FINE, ()), Plan(True, None, (FINE,))),
        ([FINE, COARSE], Plan(True, FINE, (COARSE,)), Plan(True, None, (FINE, COARSE))),
        ([FINE, FINE], Plan(False, FINE, ()), Plan(True, None, (FINE,))),
    ],
)
def test_float32_is_made_only_where_it_is_read(forms, plan, apart):
    wanted = Wanted.by(("x", form) for form in forms)
    assert wanted.plan("x") == plan and wanted.plan("x", apart=True) == apart


def test_two_forms_of_a_value_never_share_a_buffer_with_what_is_read():
    """A sum replaces its float32 operand, and the rounded result does not take what the step still reads."""
    reads = (("x", FINE), ("add", FLOAT))
    uses = [
        *Plan(True, FINE, ()).list_uses((), "add", 0),
        *Plan(False, FINE, ()).list_uses((("add", FINE),), "x", 0),
        *Plan(True, FINE, (COARSE,)).list_uses(reads, "y", 0, ("add", FLOAT)),
        *Plan(True, None, ()).list_uses((("y", FINE), ("y", COARSE), ("y", FLOAT)), "z", 0),
    ]
    places = assign_buffers(uses)
    assert places["y", FLOAT] == places["add", FLOAT]
    assert places["y", FINE] != places["x", FINE] and places["y", COARSE] != places["y", FINE]
    assert places["z", FLOAT] != places["y", FLOAT]


def test_a_sum_takes_the_buffer_of_its_own_form_alone():
    """Rows of another width in bytes would be written over rows that other threads still read."""
    for form, shares in ((HALF, True), (FINE, False)):
        uses = [
            *Plan(False, HALF, ()).list_uses((), "add", 0),
            *Plan(False, HALF, ()).list_uses((("add", HALF),), "x", 0),
            *Plan(False, form, ()).list_uses((("x", HALF), ("add", HALF)), "y", 0, ("add", HALF)),
        ]
        places = assign_buffers(uses)
        assert (places["y", form] == places["add", HALF]) == shares


def test_results_say_where_they_go():
    rounded = np.zeros(4, np.uint16)
    one = describe_results(8, rounded, HALF)
    assert isinstance(one, Results) and (one.out, one.rounded, one.form) == (8, rounded.ctypes.data, 2)
    assert (describe_results(None, 16, FINE).rounded, describe_results(None, 16, FINE).step) == (16, 0.25)
    assert describe_results(8, None, None).form == 0


def test_values_are_rounded_as_weights_are(library, pool):
    values = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    given, rounded = np.zeros(1032, np.float32), np.zeros(1032, np.uint16)
    given[:1000] = values
    round_values(library, pool, given[:1000], rounded, HALF)
    np.testing.assert_array_equal(rounded[:1000], to_halves(values))
    assert np.abs((to_halves(values).astype(np.uint32) << 16).view(np.float32) / values - 1).max() <= 2**-8
