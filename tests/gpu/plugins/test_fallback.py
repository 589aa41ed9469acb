"""The same operators through PTX, which the driver compiles for the GPU at hand: what GPUs get that are yet to come."""

import ctypes

import pytest

from benchmarks.gpu.harness.plugin_host import DeviceMemory, RealDriver, find_harness, find_library, find_reason
from tests.gpu.plugins.conftest import fresh
from tests.gpu.plugins.machine_code import NO_DEVICE, without_machine_code
from tests.plugins.emulated.plugin import PluginHost
from tests.plugins.emulated.tensorrt import read_images
from tests.plugins.emulated.test_operators import *  # noqa: F403

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def fallback_host(tmp_path_factory):
    reason = find_reason()
    if reason is not None:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("fallback")
    library = without_machine_code(find_library(folder), folder / "libspair_plugins_ptx.so")
    return PluginHost(find_harness(folder), RealDriver(library), DeviceMemory())


@pytest.fixture
def host(fallback_host):
    yield from fresh(fallback_host)


def test_the_copy_has_no_machine_code_left(host):
    images = read_images(host.driver.library)
    assert images
    assert all(bool(image.ptx) != (image.sm == NO_DEVICE) for image in images)
    assert ctypes.string_at(next(image.code for image in images if image.ptx), 20).startswith(b"//")
