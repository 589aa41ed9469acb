"""The plugin library on the emulated GPU, one for the whole test session."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulated.driver.gpu import EAGER, EmulatedGPU, load_gpu
from tests.plugins.emulated.driver import EmulatedDriver
from tests.plugins.emulated.plugin import PluginHost, build_harness


@pytest.fixture(scope="session")
def plain_gpu() -> EmulatedGPU:
    """Emulated GPU of this process, without pycuda."""
    try:
        return load_gpu()
    except (RuntimeError, FileNotFoundError) as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def harness(tmp_path_factory: pytest.TempPathFactory, header_folders: list[Path]) -> Path:
    """C functions around TensorRT's interfaces."""
    return build_harness(tmp_path_factory.mktemp("harness") / "libharness.so", header_folders)


@pytest.fixture(scope="session")
def session_host(plain_gpu: EmulatedGPU, harness: Path, plugin_library: Path) -> PluginHost:
    """Driver, library and harness: a process has one of each, since the library keeps what it loaded."""
    driver = EmulatedDriver(plain_gpu, plugin_library)
    return PluginHost(harness, driver, driver.memory)


@pytest.fixture
def host(session_host: PluginHost) -> Iterator[PluginHost]:
    """The same for one test: the device that the library was built for, no launches, no messages."""
    session_host.driver.start()
    session_host.messages()
    yield session_host
    session_host.driver.stop()


@pytest.fixture
def torch_host(host: PluginHost) -> PluginHost:
    """The same on a GPU that reaches the memory of PyTorch's tensors on the CPU, and works at once."""
    host.driver.set(pageable=1, schedule=EAGER)
    return host
