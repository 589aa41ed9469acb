"""Verbs as real processes, hit inside of the time in which they write: the old or the new, and nothing else.

Each runs for a minute or so, so `make faults` alone runs them.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from spair.runtime import Bundle
from spair.runtime.bundle.cleaning import clean
from spair.runtime.images import Picture, write_image
from tests.calibration.conftest import make_picture, small_bundle  # noqa: F401 (a fixture)
from tests.faults.tally import count

pytestmark = pytest.mark.skipif("SPAIR_FAULTS" not in os.environ, reason="slow: make faults runs it")

SCRIPT = """
import atexit, os, sys
from tests.faults.children import STEPS
place, hit, number = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
del sys.argv[1:4]
seen = 0

def names(value):
    return isinstance(value, (str, bytes, os.PathLike)) and place in os.fsdecode(value)

def hook(event, arguments):
    global seen
    writes = event in STEPS and (event != "open" or arguments[2] & (os.O_WRONLY | os.O_RDWR))
    if writes and any(map(names, arguments)):
        seen += 1
        if seen == hit:
            os.kill(os.getpid(), number)

sys.addaudithook(hook)
atexit.register(lambda: print("steps", seen, file=sys.stderr))
from spair.cli.main import main
main()
"""

RUN = """
name = "r"
task = "rain"
preset = "tiny"
[data]
photos = ["photos"]
simulate = 1.0
[[stages]]
train = "net_l"
steps = 1
patch = 16
[hardware]
workers = 0
"""


@pytest.fixture(scope="module")
def home(small_bundle, tmp_path_factory):  # noqa: F811 (the fixture is imported)
    """A folder with a checkpoint of a small network, pictures and a configuration of a run."""
    folder = tmp_path_factory.mktemp("home")
    shutil.copyfile(small_bundle.with_name("small.safetensors"), folder / "small.safetensors")
    for number in range(4):
        pixels = (make_picture(number) * 255).round().astype(np.uint8)
        for kind in ("photos", "clean"):
            (folder / kind).mkdir(exist_ok=True)
            write_image(folder / kind / f"{number}.png", Picture(pixels))
    (folder / "r.toml").write_text(RUN)
    return folder


def spair(home: Path, place: str, hit: int, number: int, words: list[str]) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root, "TMPDIR": str(home / "scratch"), "OMP_NUM_THREADS": "1"}
    (home / "scratch").mkdir(exist_ok=True)
    command = [sys.executable, "-c", SCRIPT, place, str(hit), str(number), *words]
    return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)


def check_bundle(home: Path) -> None:
    Bundle.open(home / "place" / "a.spair").contents()


TRAIN = ["train", "r.toml", "--out", "place/run"]


def check_run(home: Path) -> None:
    """A run that was hit goes on and ends; one that ended leaves room for the next test."""
    done = spair(home, "place/run", 0, 0, TRAIN)
    assert done.returncode == 0, done.stderr[-2000:]
    shutil.rmtree(home / "place" / "run")


VERBS = {
    "export": (["export", "small.safetensors", "--out", "place/a.spair", "--force"], "a.spair", check_bundle),
    "calibrate": (
        [
            "calibrate",
            "place/a.spair",
            "--images",
            "photos",
            "--precision",
            "fp16",
            "--quick",
            "--tile",
            "48",
            "--tiles",
            "2",
            "--max-loss",
            "9",
        ],
        "a.spair",
        check_bundle,
    ),
    "evaluate": (
        ["evaluate", "place/a.spair", "--input", "photos", "--clean", "clean", "--out", "place/out"],
        "place/out",
        check_bundle,
    ),
    "restore": (["restore", "place/a.spair", "photos", "--out", "place/restored"], "place/restored", check_bundle),
    "train": (TRAIN, "place/run", check_run),
}
"""Words of the command by verb, with a part of the path that it writes, and a check of what is there afterwards."""
FACTS: dict[str, int] = {}


@pytest.mark.parametrize("verb", VERBS)
def test_an_undisturbed_run_says_how_many_steps_it_has(home, verb):
    words, place, check = VERBS[verb]
    done = spair(home, place, 0, 0, words)
    assert done.returncode == 0, done.stderr[-2000:]
    check(home)
    FACTS[verb] = int(done.stderr.split("steps ")[-1])
    assert FACTS[verb] > 1
    assert list((home / "scratch").glob("spair-*")) == []


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(("share", "number"), [(0.0, signal.SIGKILL), (0.5, signal.SIGKILL), (0.5, signal.SIGTERM)])
def test_a_process_that_is_hit_while_it_writes(home, verb, share, number):
    words, place, check = VERBS[verb]
    done = spair(home, place, 1 + int(share * (FACTS[verb] - 1)), number, words)
    count("real processes killed" if number == signal.SIGKILL else "real processes told to end")
    assert done.returncode in (-signal.SIGKILL, 128 + signal.SIGTERM), done.stderr[-2000:]
    check(home)
    if number == signal.SIGKILL:
        report = clean([home / "place", home / "scratch"])
        assert not report.failed and not report.kept
    hidden = [path for folder in ("place", "scratch") for path in (home / folder).rglob("*") if ".tmp" in path.name]
    assert hidden == [] and list((home / "place").rglob("*.lock")) == []
    assert list((home / "scratch").glob("spair-*")) == []
