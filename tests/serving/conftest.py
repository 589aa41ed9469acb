"""Fixtures that tests of several rooms of the serving wing share."""

import warnings
from collections.abc import Generator

import pytest

from tests.serving.triton.fixtures import triton_packages, triton_server
from tests.serving.triton.server import RunningServer

__all__ = ["triton_packages", "triton_server"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Run a test a second time where the real Triton crashed under it.

    That server is another project's, of a fixed release, and has been seen to end in the middle of the suite, which
    took a hundred tests with it. Such an end is shown as a warning; a test under which it ends twice has failed.
    """
    try:
        return (yield)
    except Exception:
        server = _find_server(item)
        crash = server.start_again() if server else None
        if crash is None:
            raise
        warnings.warn(f"{item.nodeid} is run again: {crash}", stacklevel=1)
    item.runtest()
    return None


def _find_server(item: pytest.Item) -> RunningServer | None:
    """Find the real Triton that a test talks to."""
    if getattr(getattr(item, "funcargs", {}).get("target"), "kind", "") == "triton" or "triton_server" in getattr(
        item, "fixturenames", ()
    ):
        return item._request.getfixturevalue("triton_server").running  # type: ignore[attr-defined]
    return None
