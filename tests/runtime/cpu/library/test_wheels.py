"""Wheels for an architecture bring a library that loads on old systems and answers as the one that was compiled."""

import base64
import hashlib
import platform
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest

from spair.runtime.cpu.library import ready, wheels
from spair.runtime.cpu.library.loading import Library
from spair.runtime.cpu.library.ready import find_cross_compiler, make_ready
from spair.runtime.cpu.library.sets import list_sets
from spair.runtime.cpu.library.wheels import PLACE, check_needs, main, make_platform_wheel
from spair.runtime.errors import UserError

INFO = "spair_rt-0.1.0.dist-info"
WHEEL = "Wheel-Version: 1.0\nGenerator: setuptools\nRoot-Is-Purelib: true\nTag: py3-none-any\n\n"


@pytest.fixture
def plain(tmp_path) -> Path:
    """A plain wheel of one module."""
    path = tmp_path / "spair_rt-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("spair/runtime/__init__.py", "one = 1\n")
        wheel.writestr(f"{INFO}/WHEEL", WHEEL)
        wheel.writestr(f"{INFO}/RECORD", f"spair/runtime/__init__.py,,\n{INFO}/WHEEL,,\n{INFO}/RECORD,,\n")
    return path


@pytest.fixture
def built(monkeypatch):
    """Wheels take the library that lies beside the code, of another architecture too."""

    def copy(machine, folder):
        if find_cross_compiler(machine) is None:
            pytest.skip(f"a C++ compiler for {machine} is not installed")
        return Path(shutil.copy(make_ready(machine), folder))

    monkeypatch.setattr(wheels, "make_ready", copy)


def unpack(wheel: Path, machine: str) -> Path:
    """Return the library of a wheel, unpacked."""
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(wheel.parent / machine)
    (found,) = (wheel.parent / machine / PLACE).iterdir()
    return found


def test_the_wheel_says_what_it_holds(plain, built):
    wheel = make_platform_wheel(plain, platform.machine())
    tags = [f"{tag}_{platform.machine()}" for tag in ("manylinux_2_17", "manylinux2014")]
    assert wheel.name == f"spair_rt-0.1.0-py3-none-{'.'.join(tags)}.whl"
    with zipfile.ZipFile(wheel) as opened:
        lines = opened.read(f"{INFO}/WHEEL").decode().splitlines()
        assert lines[2:] == ["Root-Is-Purelib: false", *(f"Tag: py3-none-{tag}" for tag in tags)]
        assert opened.read("spair/runtime/__init__.py") == b"one = 1\n"
        record = [line.split(",") for line in opened.read(f"{INFO}/RECORD").decode().splitlines()]
        assert {name for name, _, _ in record} == set(opened.namelist())
        for name, digest, size in record[:-1]:
            content = opened.read(name)
            expected = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            assert (digest, int(size)) == (f"sha256={expected}", len(content))
        assert record[-1] == [f"{INFO}/RECORD", "", ""]


def test_the_library_of_the_wheel_answers_as_the_compiled_one(plain, built, library, monkeypatch):
    place = unpack(make_platform_wheel(plain, platform.machine()), platform.machine()).parent
    monkeypatch.setattr(ready, "INSTALLED", place)
    found = ready.find_ready()
    assert found is not None and found.parent == place
    shipped = Library(found, [one for one in list_sets() if one.name == library.instructions.name])
    weight = np.random.default_rng(0).random((27, 40), dtype=np.float32)
    mask = np.random.default_rng(1).integers(0, 2, (64, 48)).astype(np.uint8)
    answers = []
    for one in (shipped, library):
        pool, half = one.open_pool(2), np.empty((32, 24), np.uint8)
        one.halve_mask(pool.handle, mask.ctypes.data, 32, 24, half.ctypes.data)
        pool.close()
        answers.append((one.pack(weight).tobytes(), half.tobytes()))
    assert answers[0] == answers[1] and half.any()


@pytest.mark.parametrize(("machine", "name"), [("x86_64", "sse2"), ("aarch64", "neon")])
def test_the_library_loads_on_its_architecture(plain, built, tmp_path, machine, name):
    library = unpack(make_platform_wheel(plain, machine), machine)
    program, command = tmp_path / "loader", []
    compiler = find_cross_compiler(machine)
    if machine != platform.machine():
        if shutil.which(f"qemu-{machine}") is None:
            pytest.skip(f"qemu-{machine} is not installed; on Debian: apt-get install qemu-user")
        command = [f"qemu-{machine}", "-L", f"/usr/{machine}-linux-gnu"]
    subprocess.run([compiler, "-x", "c", Path(__file__).with_name("loader.c"), "-o", program, "-ldl"], check=True)
    for wanted, answer in ((name, "1 1"), ("unknown", "0 1")):
        done = subprocess.run([*command, program, library, wanted], capture_output=True, text=True)
        assert (done.returncode, done.stdout.strip()) == (0, answer), done.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"GLIBC_2.2.5\0GLIBC_2.34\0", "needs glibc 2.34, expected glibc 2.17 alone"),
        (b"GLIBC_2.9\0GLIBCXX_3.4\0", r"needs glibc 2.9 and libstdc\+\+"),
    ],
)
def test_a_library_that_needs_more_is_refused(tmp_path, content, words):
    (tmp_path / "cpu.so").write_bytes(content)
    with pytest.raises(UserError, match=words):
        check_needs(tmp_path / "cpu.so")


def test_a_wheel_that_is_not_plain_is_refused(tmp_path):
    with pytest.raises(UserError, match="is not a wheel for all machines, expected a name that ends with -py3"):
        make_platform_wheel(tmp_path / "spair_rt-0.1.0-cp311-cp311-linux_x86_64.whl", "x86_64")


def test_an_architecture_without_a_compiler_is_left_out(plain, built, monkeypatch, capsys):
    real = find_cross_compiler(platform.machine())
    monkeypatch.setattr(wheels, "find_cross_compiler", lambda machine: real if machine == platform.machine() else None)
    assert main([str(plain)]) == 0
    said = capsys.readouterr()
    assert said.out.count(".whl") == 1 and said.err.count("there is no compiler for it") == 1
    monkeypatch.setattr(wheels, "find_cross_compiler", lambda machine: None)
    assert main([str(plain)]) == 1, "no wheel at all is a failure"
    assert main([]) == 0, "a checkout compiles on first use"
