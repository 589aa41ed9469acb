"""Requests of a door together hold no more bytes than the budget has."""

import pytest

from spair.serving.budget import Budget
from spair.serving.errors import BusyError


def test_bytes_beyond_the_budget_are_refused_and_given_back():
    budget = Budget(10)
    with budget.hold() as take:
        take(6)
        with pytest.raises(BusyError, match="as many bytes of requests as it may"), budget.hold() as other:
            other(4)
            other(1)
        with budget.hold() as other:  # what was refused has given back what it had
            other(4)
    with budget.hold() as take:
        take(10)


def test_an_error_gives_bytes_back():
    budget = Budget(10)
    with pytest.raises(ZeroDivisionError), budget.hold() as take:
        take(10)
        raise ZeroDivisionError
    with budget.hold() as take:
        take(10)
