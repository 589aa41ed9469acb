"""The operators that share a list of active pixels, of tests/plugins/emulated, as machine code on a GPU."""

import pytest

from tests.plugins.emulated.test_lists import *  # noqa: F403

pytestmark = pytest.mark.gpu
