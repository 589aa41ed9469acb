"""The script runs on doubles of boards: it installs and builds, or says what is wrong before it changes anything."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from spair.export.engines.kit.order import KitOrder
from spair.export.engines.kit.script import SCRIPT, write_script
from spair.export.engines.options import EngineOptions
from spair.plugins.compiler.targets import TARGETS, find_target
from tests.runtime.machine.board.trees import AGX_ORIN, ORIN_NANO, ORIN_NX, RELEASE, THOR, write

JETSONS = [target.name for target in TARGETS if target.name.startswith("jetson")]
DOUBLE = '#!/bin/sh\necho "$(basename "$0") $*" >> "{log}"\n{code}'
PYTHON = """case "$2" in
  *version_info*) echo "{version}" ;;
  *tensorrt*) [ -e "{jetpack}" ]; exit $? ;;
esac
if [ "$1 $2" = "-m venv" ]; then
  mkdir -p "$4/bin"
  for name in python spair; do cp "{double}" "$4/bin/$name"; done
fi
"""


def make(name: str = "jetson-orin-jp6", **more: object) -> str:
    return write_script(KitOrder(find_target(name), ("fp32", "fp16"), EngineOptions(**more)))


class Board:
    """A board whose commands write down how they were called."""

    def __init__(self, folder: Path, files: dict[str, str], python: str = "3.10", machine: str = "aarch64") -> None:
        self.folder, self.root, self.log = folder, write(folder / "root", files), folder / "log"
        self.wheel = folder / "spair_rt-0.1.0-py3-none-any.whl"
        self.wheel.touch()
        self.jetpack = folder / "jetpack"
        self.jetpack.touch()
        self._add("double", "")
        self._add("uname", f"echo {machine}\n")
        self._add("sudo", f'[ "$2" != install ] || touch "{self.jetpack}"\n')
        code = PYTHON.format(version=python, jetpack=self.jetpack, double=folder / "bin" / "double")
        self.python = self._add("python3", code)

    def _add(self, name: str, code: str) -> Path:
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(DOUBLE.format(log=self.log, code=code))
        path.chmod(0o755)
        return path

    def run(self, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        places = {"/usr/bin/python3": self.python}
        places |= {f"/{name}": self.root / name for name in ("etc/nv_tegra_release", "proc/device-tree/compatible")}
        for place, double in places.items():
            assert place in text
            text = text.replace(place, str(double))
        script = self.folder / "rain of mine.spair" / "plugins" / "t" / SCRIPT
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(text)
        environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(self.folder / "bin"), *os.get_exec_path()]),
            "HOME": str(self.folder),
        }
        given = arguments or (str(self.wheel), str(self.folder / "environment"))
        return subprocess.run(["sh", str(script), *given], env=environment, capture_output=True, text=True, check=False)

    def calls(self) -> list[list[str]]:
        """Return the words of the commands that installed something."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.split() for line in lines if line.split()[0] != "uname" and " -c " not in line]


def test_a_board_is_installed_and_builds(tmp_path):
    board = Board(tmp_path, ORIN_NANO)
    done = board.run(make())
    assert (done.returncode, done.stderr) == (0, "")
    venv, pip, doctor, build = board.calls()
    assert venv == ["python3", "-m", "venv", "--system-site-packages", str(tmp_path / "environment")]
    assert pip == ["python", "-m", "pip", "install", f"{board.wheel}[jetson]", "numpy<2", "cuda-bindings==12.9.*"]
    assert doctor == ["spair", "doctor"]
    bundle = str(tmp_path / "rain of mine.spair")
    words = shlex.split(
        " ".join(build).replace(bundle, shlex.quote(bundle), 1).replace(f"{bundle}/plugins", "B/plugins")
    )
    assert words[:7] == ["spair", "build", bundle, "--target", "local", "--library", "B/plugins/t/libspair_plugins.so"]
    assert words[7:11] == ["--precision", "fp32", "--precision", "fp16"]


def test_a_second_run_keeps_the_environment(tmp_path):
    board = Board(tmp_path, ORIN_NANO)
    assert [board.run(make()).returncode for _ in range(2)] == [0, 0]
    assert [call[:3] for call in board.calls()].count(["python3", "-m", "venv"]) == 1


def test_jetpack_is_installed_where_it_is_missing(tmp_path):
    board = Board(tmp_path, ORIN_NANO)
    board.jetpack.unlink()
    assert board.run(make()).returncode == 0
    update, install = board.calls()[:2]
    assert update == ["sudo", "apt-get", "update"]
    assert install == ["sudo", "apt-get", "install", "-y", "nvidia-jetpack", "python3-venv"]


def test_a_release_with_a_fault_is_told_and_goes_on(tmp_path):
    done = Board(tmp_path, ORIN_NX).run(make())
    assert done.returncode == 0 and "L4T 36.4.7 fails large allocations on the GPU" in done.stderr


@pytest.mark.parametrize(
    ("name", "files", "python"),
    [("jetson-orin-jp7", AGX_ORIN, "3.12"), ("jetson-thor", THOR, "3.12")],
)
def test_each_target_takes_its_boards(tmp_path, name, files, python):
    board = Board(tmp_path, files, python)
    assert board.run(make(name)).returncode == 0
    assert board.calls()[1][4:] == [f"{board.wheel}[jetson]", "cuda-bindings==13.*"]


@pytest.mark.parametrize(
    ("files", "python", "machine", "words"),
    [
        (ORIN_NANO, "3.10", "x86_64", "this kit is for jetson-orin-jp6, and this machine is x86_64"),
        ({}, "3.10", "aarch64", "this machine is no Jetson: it has no "),
        (THOR, "3.12", "aarch64", "whose chip is tegra234, and this board has another one"),
        (AGX_ORIN, "3.12", "aarch64", "this kit is for L4T 36.4, 36.5, and this board has L4T 39.2.0"),
        ({**ORIN_NANO, "etc/nv_tegra_release": RELEASE.format(36, "3.0")}, "3.10", "aarch64", "has L4T 36.3.0"),
        (ORIN_NANO, "3.11", "aarch64", "is Python 3.11, and the TensorRT of JetPack is for 3.10"),
    ],
    ids=["machine", "no board", "chip", "JetPack 7", "JetPack 6.0", "Python"],
)
def test_another_machine_is_refused_before_anything_is_installed(tmp_path, files, python, machine, words):
    board = Board(tmp_path, files, python, machine)
    done = board.run(make())
    assert done.returncode == 1 and words in done.stderr and len(done.stderr.splitlines()) == 1
    assert board.calls() == []


def test_a_wheel_is_asked_for(tmp_path):
    done = Board(tmp_path, ORIN_NANO).run(make(), "absent.whl")
    assert done.returncode == 1 and "give the wheel of spair-rt: sh install.sh WHEEL [ENVIRONMENT]" in done.stderr


@pytest.mark.parametrize("name", JETSONS)
def test_no_shell_finds_a_fault(name, tmp_path):
    (tmp_path / SCRIPT).write_text(make(name))
    for shell in filter(shutil.which, ("dash", "bash", "busybox")):
        words = [shell, "sh", "-n"] if shell == "busybox" else [shell, "-n"]
        assert subprocess.run([*words, str(tmp_path / SCRIPT)], capture_output=True, check=False).stderr == b""
