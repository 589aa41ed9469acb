"""Small network for tests of the network."""

import pytest

from spair.network import SPAIR
from tests.network.small import SMALL, randomize


@pytest.fixture(scope="module")
def model() -> SPAIR:
    """Make a small network whose blocks all change the result."""
    return randomize(SPAIR(SMALL))
