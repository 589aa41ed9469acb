"""Findings about a board, with commands that mend them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .facts import BoardFacts
from .software import parse_version

ALLOCATION_BUG = "36.4.7"
"""Version of L4T whose driver fails large allocations; 36.5 mends it."""
SYSTEM_PACKAGES = "python3 -m venv --system-site-packages"
"""Command that makes an environment which sees the packages of JetPack."""
PYCUDA = "PATH=/usr/local/cuda/bin:$PATH CPATH=/usr/local/cuda/include pip install 'pycuda>=2025.1.2'"
"""Command that compiles pycuda with the toolkit of JetPack."""
_UPGRADE = (
    "sudo sed -i s/r36.4/r36.5/ /etc/apt/sources.list.d/nvidia-l4t-apt-source.list && sudo apt-get update && "
    "sudo apt-get dist-upgrade"
)
_ARCHIVE = "TensorRT-10.7.0.23.l4t.aarch64-gnu.cuda-12.6.tar.gz"
_TENSORRT = (
    f"wget https://developer.nvidia.com/downloads/compute/machine-learning/tensorrt/10.7.0/tars/{_ARCHIVE} && "
    f"tar -xzf {_ARCHIVE} && pip install TensorRT-10.7.0.23/python/tensorrt-10.7.0-cp310-*.whl"
)
_SWAP = "sudo fallocate -l 16G /swap && sudo chmod 600 /swap && sudo mkswap /swap && sudo swapon /swap"
_NEEDS_DLA = (10, 16)
"""TensorRT of JetPack 7.2, which has no library of the accelerator any more; earlier ones want it."""


class Finding(NamedTuple):
    """Sentence about a board."""

    name: str
    fault: bool
    """Whether something fails because of it; else it is advice."""
    sentence: str
    command: str | None = None
    """Command line that mends it; None where no command can."""


def list_findings(facts: BoardFacts) -> list[Finding]:
    """List faults of a board, and then advice."""
    found = [finding for rule in RULES if (finding := rule(facts)) is not None]
    return sorted(found, key=lambda finding: not finding.fault)


def _check_model(facts: BoardFacts) -> Finding | None:
    if facts.board.model is not None:
        return None
    return Finding(
        "model",
        False,
        "the board does not tell its model, which containers do not see: copy it before, and hand it in",
        "cat /proc/device-tree/model > /tmp/nv_jetson_model; docker run -v /tmp/nv_jetson_model:/tmp/nv_jetson_model …",
    )


def _check_release(facts: BoardFacts) -> Finding | None:
    board = facts.board
    if board.l4t is None:
        return Finding(
            "release",
            False,
            "the version of L4T is not known here, so nothing that depends on it was checked: hand its file in",
            "docker run -v /etc/nv_tegra_release:/etc/nv_tegra_release:ro …",
        )
    if board.stack is None:
        return Finding(
            "release",
            True,
            f"L4T {board.l4t} is none of the releases that the plugins are built for, which are those of JetPack 6.1 "
            "to 6.2.3 and 7.0 to 7.2: flash the board with one of them",
        )
    return None


def _check_allocation(facts: BoardFacts) -> Finding | None:
    if facts.board.l4t != ALLOCATION_BUG:
        return None
    return Finding(
        "allocation",
        True,
        f"L4T {ALLOCATION_BUG} fails large allocations on the GPU (NvMapMemAllocInternalTagged, error 12): upgrade to "
        "L4T 36.5, which is JetPack 6.2.2; until then a reboot helps for a while",
        _UPGRADE,
    )


def _check_environment(facts: BoardFacts) -> Finding | None:
    stack, environment = facts.board.stack, facts.environment
    if stack is None or "tensorrt" in environment.distributions:
        return None
    if environment.python != stack.python:
        return Finding(
            "environment",
            True,
            f"JetPack's packages are for Python {_join(stack.python)}, this is {_join(environment.python)}: make the "
            "environment with the system's Python",
            f"/usr/bin/{SYSTEM_PACKAGES} ~/spair",
        )
    if environment.isolated:
        return Finding(
            "environment",
            True,
            "this Python environment does not see the packages of JetPack, TensorRT among them: make it again with "
            "them",
            f"{SYSTEM_PACKAGES} ~/spair",
        )
    if not facts.software.bindings:
        return Finding(
            "environment",
            True,
            "TensorRT for Python is not installed; on a Jetson it comes with JetPack, not from the package index",
            "sudo apt-get install -y nvidia-jetpack",
        )
    return None


def _check_dla(facts: BoardFacts) -> Finding | None:
    version = facts.software.tensorrt
    if facts.software.dla or version is None or version >= _NEEDS_DLA:
        return None
    if facts.board.container:
        return Finding(
            "dla",
            True,
            f"libnvdla_compiler.so is missing in this container, and TensorRT {_join(version)} does not load without "
            "it: take an image of the board's own JetPack, and start it with NVIDIA's runtime",
            "docker run --runtime nvidia -v /etc/nv_tegra_release:/etc/nv_tegra_release:ro …",
        )
    return Finding(
        "dla",
        True,
        f"libnvdla_compiler.so is missing, and TensorRT {_join(version)} does not load without it",
        "sudo apt-get install -y nvidia-l4t-dla-compiler",
    )


def _check_tensorrt(facts: BoardFacts) -> Finding | None:
    stack, system = facts.board.stack, facts.software.tensorrt
    installed = facts.environment.distributions.get("tensorrt")
    if installed and system and parse_version(installed) != system and not facts.environment.own_tensorrt:
        return Finding(
            "tensorrt",
            True,
            f"Python has TensorRT {_join(parse_version(installed))} and the system {_join(system)}, and an engine runs "
            "only on the version that built it: keep one of the two",
            "pip uninstall -y tensorrt",
        )
    if stack is not None and stack.tensorrt == (10, 3) and system == (10, 3):
        return Finding(
            "tensorrt",
            False,
            "TensorRT 10.3 of JetPack 6 fails some INT8 builds that 10.7, the last one for L4T 36, makes; FP32 and "
            "FP16 need no upgrade; after one, name its folder lib in LD_LIBRARY_PATH and build engines again",
            _TENSORRT,
        )
    return None


def _check_numpy(facts: BoardFacts) -> Finding | None:
    version, stack = facts.environment.distributions.get("numpy"), facts.board.stack
    pinned = stack is not None and stack.python < (3, 12) and "tensorrt" not in facts.environment.distributions
    if not pinned or version is None or parse_version(version) < (2, 0):
        return None
    return Finding(
        "numpy",
        True,
        f"NumPy {version} is installed, and the TensorRT of JetPack 6 was compiled for NumPy 1",
        "pip install 'numpy<2'",
    )


def _check_cuda(facts: BoardFacts) -> Finding | None:
    if {"pycuda", "cuda-bindings"} & facts.environment.distributions.keys():
        return None
    wheel = "'cuda-bindings==12.9.*'" if facts.board.jetpack == 6 else "cuda-bindings"
    if facts.toolkit:
        return Finding(
            "cuda",
            True,
            "neither pycuda nor cuda-bindings is installed; pycuda is compiled here and finds the toolkit by these "
            f"two paths (or, without compiling: pip install {wheel})",
            PYCUDA,
        )
    return Finding(
        "cuda",
        True,
        "neither pycuda nor cuda-bindings is installed; the CUDA toolkit, which pycuda is compiled with, is missing, "
        "so take the other one",
        f"pip install {wheel}",
    )


def _check_power_mode(facts: BoardFacts) -> Finding | None:
    mode = facts.power_mode
    if mode.number is None or mode.fastest is None or mode.number == mode.fastest:
        return None
    return Finding(
        "power mode",
        False,
        f"the power mode is {mode}, which limits clocks; {mode.modes[mode.fastest]} does not, and may ask for a reboot",
        f"sudo nvpmodel -m {mode.fastest}",
    )


def _check_clocks(facts: BoardFacts) -> Finding | None:
    gpu = facts.clocks.gpu
    if gpu is None or gpu.locked is not False:
        return None
    return Finding(
        "clocks",
        False,
        f"the clock of the GPU varies from {gpu.least_mhz:.0f} to {gpu.most_mhz:.0f} MHz: fix it before you measure, "
        "since times do not repeat else",
        "sudo jetson_clocks",
    )


def _check_swap(facts: BoardFacts) -> Finding | None:
    memory = facts.memory
    if not memory.small or memory.swap:
        return None
    what = f"only {memory.zram / 2**30:.1f} GiB of zram, which is memory itself" if memory.zram else "none"
    stop = "sudo systemctl disable nvzramconfig && " if memory.zram else ""
    return Finding(
        "swap",
        False,
        f"this board has {(memory.total or 0) / 2**30:.1f} GiB of memory and no swap on a disk, {what}: a build of "
        "engines may run out of memory; swap takes what other programs hold, never what the GPU does",
        stop + _SWAP,
    )


def _check_desktop(facts: BoardFacts) -> Finding | None:
    if not facts.desktop or not facts.memory.small:
        return None
    return Finding(
        "desktop",
        False,
        "the desktop takes about 800 MB of a small board's memory: start without it",
        "sudo systemctl set-default multi-user.target && sudo reboot",
    )


def _check_heat(facts: BoardFacts) -> Finding | None:
    if not facts.heat.throttled:
        return None
    names = ", ".join(facts.heat.throttled)
    return Finding("heat", False, f"the board is slowed down by heat right now ({names}): cool it, then measure again")


def _check_camera(facts: BoardFacts) -> Finding | None:
    camera = facts.camera
    if facts.board.container and not camera.socket:
        return Finding(
            "camera",
            False,
            "CSI cameras are out of reach, since the socket of the host's camera daemon is not in this container",
            "docker run -v /tmp/argus_socket:/tmp/argus_socket …",
        )
    if not facts.board.container and camera.installed and not (camera.running and camera.socket):
        return Finding(
            "camera",
            False,
            "the camera daemon nvargus-daemon does not run, so no CSI camera answers",
            "sudo systemctl restart nvargus-daemon",
        )
    return None


def _join(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


RULES: tuple[Callable[[BoardFacts], Finding | None], ...] = (
    _check_model,
    _check_release,
    _check_allocation,
    _check_environment,
    _check_dla,
    _check_tensorrt,
    _check_numpy,
    _check_cuda,
    _check_power_mode,
    _check_clocks,
    _check_swap,
    _check_desktop,
    _check_heat,
    _check_camera,
)
"""Rules in the order in which they are told."""
