"""The plugin library on the machine's own CUDA driver: `host` is here what it is in tests/plugins/emulated."""

from collections.abc import Iterator

import pytest
import torch

from benchmarks.gpu.harness.plugin_host import find_reason, open_host
from tests.plugins.emulated.plugin import PluginHost


@pytest.fixture(scope="session")
def session_host(tmp_path_factory: pytest.TempPathFactory) -> PluginHost:
    """Library, harness and driver."""
    reason = find_reason()
    if reason is not None:
        pytest.skip(reason)
    return open_host(tmp_path_factory.mktemp("plugins"))


@pytest.fixture
def host(session_host: PluginHost) -> Iterator[PluginHost]:
    """The same for one test: a context that still works, and no messages."""
    yield from fresh(session_host)


def fresh(host: PluginHost) -> Iterator[PluginHost]:
    """The host, unless a kernel of an earlier test has broken the context for good."""
    try:
        torch.cuda.synchronize()
    except RuntimeError as error:
        pytest.fail(f"an earlier test broke the CUDA context: {error}", pytrace=False)
    host.messages()
    yield host
