"""Convolutions that write INT8, of tests/plugins/emulated, as machine code on a GPU."""

import pytest

from tests.plugins.emulated.test_steps import *  # noqa: F403

pytestmark = pytest.mark.gpu
