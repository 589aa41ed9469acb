"""The whole network in FP32, and a module in FP32, FP16 and INT8, of tests/plugins/emulated, on a GPU."""

import pytest

from tests.plugins.emulated.test_networks import *  # noqa: F403
from tests.plugins.emulated.test_precisions import *  # noqa: F403

pytestmark = pytest.mark.gpu
