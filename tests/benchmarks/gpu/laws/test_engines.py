"""The tests of engines in tests/gpu, on the emulated GPU."""

import pytest

from tests.gpu.test_engines import *  # noqa: F403

pytestmark = pytest.mark.usefixtures("machine")
