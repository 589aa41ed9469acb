"""The gates before times refuse dropped, shifted and changed pixels; masks and keys are what they say."""

import numpy as np
import pytest

from spair.runtime import UserError
from spair.runtime.profiling.cases import Case, RunSetting, make_cases


def test_half_precision_may_differ_by_more():
    assert RunSetting("fp32").tolerance == 1e-4 < RunSetting("fp16").tolerance == RunSetting("int8").tolerance < 0.01


def test_masks_are_made_in_order_and_the_same_every_time():
    first, second = (make_cases(["blob", "streak"], [0.1, 1.0], 40, 60) for _ in range(2))
    assert [str(case) for case in first] == ["blob 0.1", "blob 1", "streak 0.1", "streak 1"]
    assert all((one.mask == other.mask).all() for one, other in zip(first, second, strict=True))
    assert first[0].mask.sum() == 240


def test_masks_without_a_shape_are_measured_once():
    cases = make_cases(["blob", "streak"], [0.0, 0.1, 1.0], 40, 60)
    assert len({case.key for case in cases}) == 4


def test_unknown_shapes_are_refused():
    with pytest.raises(UserError, match="no mask of shape 'dots'"):
        make_cases(["dots"], [0.1], 8, 8)


def test_a_case_says_what_it_is():
    assert str(Case("blob", 0.125, np.zeros((1, 1), bool))) == "blob 0.125"
