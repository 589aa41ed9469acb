import contextlib

import pytest

from spair.serving.budget import BODIES
from spair.serving.errors import BusyError
from spair.serving.grpc.bounds import CALLS, Bounds
from spair.serving.options import Limits


@pytest.mark.parametrize(("queue", "most"), [(1, CALLS), (100, 200)])
def test_calls_beyond_the_bound_are_refused_until_one_ends(queue, most):
    bounds = Bounds(Limits(queue=queue))
    with contextlib.ExitStack() as stack:
        for _ in range(most - 1):
            stack.enter_context(bounds.hold_call())
        with bounds.hold_call(), pytest.raises(BusyError, match=f"answers {most} calls"), bounds.hold_call():
            pytest.fail("held")
        with bounds.hold_call():
            pass
    with bounds.hold_call():
        pass


def test_bytes_beyond_the_bound_are_refused_until_some_are_given_back():
    bounds = Bounds(Limits(body_bytes=10))
    with bounds.hold_bytes(10 * BODIES - 1):
        with pytest.raises(BusyError, match="as many bytes"), bounds.hold_bytes(2):
            pytest.fail("held")
        with bounds.hold_bytes(1):
            pass
    with pytest.raises(ZeroDivisionError), bounds.hold_bytes(10 * BODIES):
        raise ZeroDivisionError
    with bounds.hold_bytes(10 * BODIES):
        pass
