"""Options that make no sense are refused with their values."""

from dataclasses import fields

import pytest

from spair.runtime import UserError
from spair.serving.options import Limits, ModelOptions


def test_limits_have_defaults_that_are_allowed():
    assert Limits().pixels > 0 and ModelOptions().batch == 1


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
@pytest.mark.parametrize("value", [0, -1])
def test_limits_are_positive(name, value):
    with pytest.raises(
        UserError, match=rf"limits of a server must be positive and finite, got Limits\(.*{name}={value}[,)]"
    ):
        Limits(**{name: value})


@pytest.mark.parametrize("seconds", [float("nan"), float("inf")])
def test_time_without_an_end_is_no_limit(seconds):
    with pytest.raises(UserError, match="limits of a server must be positive and finite"):
        Limits(seconds=seconds)


@pytest.mark.parametrize("batch", [0, -3])
def test_a_batch_holds_at_least_one_picture(batch):
    with pytest.raises(UserError, match=f"the batch is {batch} pictures, expected at least 1"):
        ModelOptions(batch=batch)
