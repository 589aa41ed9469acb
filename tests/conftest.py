"""Fixtures for the whole test suite."""

import contextlib
import os
import platform
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # as spair.runtime does; tests may import onnxruntime before it

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a script; tests send Ctrl-C to children
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = str(Path(__file__).resolve().parents[1])
if ROOT not in sys.path:  # tests and benchmarks are no installed packages: wherever pytest was started, they import
    sys.path.append(ROOT)

with contextlib.suppress(ImportError):  # the environment of the tests of a cluster is without it
    from hypothesis import HealthCheck, settings

    # Another run tries the same examples, and none of them has a limit of time, which Hypothesis usually sets.
    settings.register_profile("suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("suite")

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
TINY_CHECKPOINT = "rain-tiny.safetensors"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out most cases of the longest tables, and begin with the longest files; see `tests.sampling`."""
    from tests.sampling import choose_cases, is_wanted, order_files

    if is_wanted(config.args):
        items[:], left = choose_cases(items)
        config.hook.pytest_deselected(items=left)
    if "PYTEST_XDIST_WORKER" in os.environ:
        items[:] = order_files(items)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let a test and its fixtures draw the same numbers, whatever ran in this process before."""
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.manual_seed(0)


@pytest.fixture(autouse=True)
def _own_threads() -> Iterator[None]:
    """No test goes on with the number of threads that another one has set in PyTorch."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch is not None else None
    yield
    if torch is not None and torch.get_num_threads() != before:
        torch.set_num_threads(before)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes what was measured for this machine's user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPAIR_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _kernels() -> None:
    """The kernels of the processor lie beside the code, as `make setup` leaves them; no test waits for them again."""
    from spair.runtime.cpu.library.ready import find_cross_compiler, make_ready

    machine = platform.machine()
    if find_cross_compiler(machine) is not None:
        make_ready(machine)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The development images; they are not part of the project, so tests that use them skip without them."""
    if not DATA.is_dir():
        pytest.skip(f"the development images are absent: no folder {DATA}")
    return DATA


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the preset tiny for rain: random weights of a fixed seed, masks neither empty nor full.

    One file for all workers: what earlier tests of a worker set in PyTorch shows in the last bit of the weights, and
    then the checkpoint of one worker would not be the one that the bundle of another was made of.
    """
    from tests.sharing import share

    return share(tmp_path_factory, "checkpoint", write_tiny_checkpoint) / TINY_CHECKPOINT


def write_tiny_checkpoint(folder: Path) -> None:
    """Write `tiny_checkpoint` into a folder."""
    import torch

    from spair.network import SPAIR, TINY, save_checkpoint

    state = torch.random.get_rng_state()
    torch.manual_seed(7)
    model = SPAIR(TINY).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0.0, 0.05)
            elif name.endswith("second.weight") and "net_r" in name:  # zero at the start of training
                parameter.normal_(0.0, 0.02)
        model.net_r.out.weight.normal_(0.0, 0.02)
        logits, _ = model.net_l(torch.rand(1, 3, 64, 64))
        head = model.net_l.head.bias
        assert head is not None
        head[:4] += model.logit_threshold - logits.quantile(0.7)  # the four sub-pixels of the logit channel
    save_checkpoint(model, folder / TINY_CHECKPOINT, task="rain")
    torch.random.set_rng_state(state)


@pytest.fixture(scope="session")
def tiny_bundle(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny_checkpoint`, exported; shared by the whole run: tests that change it work on a copy."""
    from tests.sharing import share_bundle

    return share_bundle(tmp_path_factory, "tiny", tiny_checkpoint)
