"""The plugin library on the emulated driver, one for the whole test session."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plugins.emulated.driver import EmulatedDriver
from tests.plugins.emulated.plugin import PluginHost, build_harness

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def fake_cuda(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """libcuda.so.1, with the emulated driver inside."""
    if "libcuda.so" in Path("/proc/self/maps").read_text(encoding="utf-8"):
        pytest.skip("this process has loaded the machine's own CUDA driver; run tests/plugins in one of its own")
    path = tmp_path_factory.mktemp("driver") / "libcuda.so.1"
    command = ["gcc", "-shared", "-fPIC", "-Wall", "-Werror", "-Wl,-soname,libcuda.so.1", "-o", str(path)]
    subprocess.run([*command, str(HERE / "fake_cuda.c")], check=True)
    return path


@pytest.fixture(scope="session")
def harness(tmp_path_factory: pytest.TempPathFactory, header_folders: list[Path]) -> Path:
    """C functions around TensorRT's interfaces."""
    return build_harness(tmp_path_factory.mktemp("harness") / "libharness.so", header_folders)


@pytest.fixture(scope="session")
def session_host(fake_cuda: Path, harness: Path, plugin_library: Path) -> PluginHost:
    """Driver, library and harness: a process has one of each, since the library keeps what it loaded."""
    return PluginHost(harness, EmulatedDriver(fake_cuda, plugin_library))


@pytest.fixture
def host(session_host: PluginHost) -> Iterator[PluginHost]:
    """The same for one test: the device that the library was built for, no launches, no messages."""
    driver = session_host.driver
    usual = {"sm": driver.built_for, "processors": 2, "capturing": 0, "reject_code": 0, "no_context": 0, "context": 0}
    driver.set(**usual)
    driver.launches.clear()
    driver.problems.clear()
    session_host.messages()
    yield session_host
    driver.set(**usual)
