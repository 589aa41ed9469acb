"""Real Triton Inference Server from the package index, for tests on the loopback device alone.

The wheel nvidia-pytriton carries tritonserver 2.51 with its Python backend. It has no backend for ONNX files, so the
tests add one, see `backend/model.py`. That server has known holes: it never listens to others than this machine.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from tests.emulated.setup.cache import make_once, python_tag

WHEEL = "nvidia-pytriton==0.7.0"
NUMPY = "numpy==1.26.4"
"""With numpy 2 this server's Python backend gives empty tensors, without an error."""
GLIBC = (2, 35)


class SetupError(RuntimeError):
    """Server that cannot be had here; the message says why."""


def find_obstacle() -> str | None:
    """Say why the server cannot run on this machine; None where it can."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return f"tritonserver is for Linux on x86-64, and this is {sys.platform} on {platform.machine()}"
    name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "another C library").partition(" ")
    if name != "glibc" or tuple(int(part) for part in version.split(".")[:2]) < GLIBC:
        return f"tritonserver needs glibc {GLIBC[0]}.{GLIBC[1]}, and this is {name} {version}"
    return None


def find_packages() -> Path:
    """Return the folder with the server and the numpy that its models need.

    It is downloaded on first use.

    Raises:
        SetupError: it cannot be had here.
    """
    obstacle = find_obstacle()
    if obstacle is not None:
        raise SetupError(obstacle)
    name = f"tritonserver-{WHEEL.split('==')[1]}-{NUMPY.replace('==', '-')}-{python_tag()}"

    def install(folder: Path) -> None:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary", ":all:", "--target", str(folder), WHEEL, NUMPY]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["pip says nothing"])[-1]
            raise SetupError(f"{WHEEL} and {NUMPY} cannot be installed: {reason}")

    return make_once(name, install)


def write_backends(folder: Path, packages: Path) -> None:
    """Write the folder of backends; the server takes no links in it."""
    own = packages / "pytriton" / "tritonserver"
    shutil.copytree(own / "backends" / "python", folder / "python")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    shutil.copy(own / "python_backend_stubs" / version / "triton_python_backend_stub", folder / "python")
    (folder / "onnxruntime").mkdir()
    shutil.copy(Path(__file__).with_name("backend") / "model.py", folder / "onnxruntime")


def write_interpreter(folder: Path, packages: Path) -> None:
    """Write a virtual environment for the processes of models.

    They ignore PYTHONPATH, but look for the `python3` of the PATH, and so for its environment.
    """
    import spair.runtime

    venv.create(folder / "environment", symlinks=True)
    installed = Path(spair.runtime.__file__).resolve().parents[1]  # the checkout, or site-packages/spair
    (folder / "toolkit" / "spair").mkdir(parents=True)
    for name in ("runtime", "serving", "export", "temporary"):
        (folder / "toolkit" / "spair" / name).symlink_to(installed / name)
    # Everything but numpy is what the tests themselves import, so that results can be equal bit for bit.
    own = [one for one in sys.path if Path(one).name == "site-packages"]
    (site,) = (folder / "environment" / "lib").glob("python*/site-packages")
    (site / "tests.pth").write_text("\n".join([str(folder / "toolkit"), str(packages), *own]) + "\n")


def make_environment(packages: Path, interpreter: Path) -> dict[str, str]:
    """Return the environment of the server.

    Args:
        packages: see `find_packages`.
        interpreter: folder of `write_interpreter`.
    """
    # The models' processes are linked with libpython, which must be the one of this interpreter's standard library.
    libraries = [Path(sys.base_prefix) / "lib", packages / "nvidia_pytriton.libs"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV_"))}
    return {
        **kept,
        "PATH": os.pathsep.join([str(interpreter / "environment" / "bin"), kept["PATH"]]),
        "LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries)),
        "OMP_NUM_THREADS": "1",
    }
