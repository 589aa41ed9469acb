"""A real Ray cluster of two nodes restores as one machine does, also when it loses a node.

`make ray` runs it, in an environment of its own.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from spair.runtime import Picture, write_image
from spair.runtime.batch.ledger import NAME

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed; make ray runs this in its own environment"
)
PICTURES = 60
SIZES = ((97, 131), (64, 64), (1, 1), (45, 200))
BROKEN = "017.png"


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Pictures of awkward sizes, one of them no picture."""
    random = np.random.default_rng(8)
    folder = tmp_path_factory.mktemp("photos")
    for number in range(PICTURES):
        height, width = SIZES[number % len(SIZES)]
        write_image(folder / f"{number:03}.png", Picture(random.integers(0, 256, (height, width, 3), dtype=np.uint8)))
    (folder / BROKEN).write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def plain(photos, tmp_path_factory) -> Path:
    """Results of one machine."""
    out = tmp_path_factory.mktemp("plain")
    done = subprocess.run(make_command(photos, out), capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    return out


@pytest.fixture
def cluster():
    """A head node that works not, and two nodes that do, on loopback."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        nodes = [made.add_node(num_cpus=1), made.add_node(num_cpus=1)]
        made.wait_for_nodes()
        yield made, nodes
    finally:
        made.shutdown()


def make_command(photos: Path, out: Path, *options: str) -> list[str]:
    run = "from spair.cli.main import main; main()"
    arguments = ["restore", "rain", str(photos), "--out", str(out), "--threads", "1", "--json", *options]
    return [sys.executable, "-c", run, *arguments]


def start(photos: Path, out: Path, address: str, *options: str) -> subprocess.Popen[str]:
    command = make_command(photos, out, "--ray", address, *options)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_results(process: subprocess.Popen[str], out: Path, count: int) -> dict[str, tuple[int, int]]:
    """Return which files are there, once there are some."""
    while process.poll() is None:
        found = {path.name: read_identity(path) for path in out.glob("*.png")}
        if len(found) >= count:
            return found
        time.sleep(0.01)
    raise AssertionError(f"the run ended early: {process.communicate()}")


def read_identity(path: Path) -> tuple[int, int]:
    return path.stat().st_ino, path.stat().st_mtime_ns


def read_folder(folder: Path) -> dict[str, bytes]:
    """Return the content of every file, hidden ones too, but for the record of the results."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != NAME)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def check_report(report: dict, photos: Path, *, skipped: int = 0) -> None:
    """Check that every picture is in the report once, in order, and the broken one is told."""
    assert [Path(one["input"]).name for one in report["failed"]] == [BROKEN]
    assert "it is not a picture" in report["failed"][0]["error"]
    assert len(report["skipped"]) == skipped
    done = [one["input"] for one in report["images"]] + report["skipped"]
    assert sorted(done) == sorted(str(path) for path in photos.iterdir() if path.name != BROKEN)
    assert [one["input"] for one in report["images"]] == sorted(one["input"] for one in report["images"])


def test_a_node_that_is_lost_costs_nothing_but_time(cluster, photos, plain, tmp_path):
    made, nodes = cluster
    process = start(photos, tmp_path / "out", made.address)
    before = wait_for_results(process, tmp_path / "out", 8)
    made.remove_node(nodes[0], allow_graceful=False)
    assert process.poll() is None and len(before) < PICTURES - 1, "the node was lost in the middle of the run"
    out, err = process.communicate()
    assert process.returncode == 1, err
    report = json.loads(out)
    check_report(report, photos)
    assert (report["nodes"], report["actors"]) == (2, 2)
    assert read_folder(tmp_path / "out") == read_folder(plain), "every result, bit for bit, and nothing else"
    after = {name: read_identity(tmp_path / "out" / name) for name in before}
    assert after == before, "what was written before the node was lost is not written again"


def test_an_interrupted_run_leaves_whole_results_and_can_go_on(cluster, photos, plain, tmp_path):
    made, _ = cluster
    process = start(photos, tmp_path / "out", made.address)
    wait_for_results(process, tmp_path / "out", 4)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode not in (0, 1) and out == "", err
    whole = read_folder(plain)
    found = read_folder(tmp_path / "out")
    assert 4 <= len(found) < len(whole) and found.items() <= whole.items(), "no journal, no half files"
    kept = {name: read_identity(tmp_path / "out" / name) for name in found}
    process = start(photos, tmp_path / "out", made.address, "--skip-existing")
    out, err = process.communicate()
    assert process.returncode == 1, err
    check_report(json.loads(out), photos, skipped=len(found))
    assert read_folder(tmp_path / "out") == whole
    assert {name: read_identity(tmp_path / "out" / name) for name in found} == kept


def test_a_process_that_is_killed_is_replaced(cluster, photos, plain, tmp_path):
    made, nodes = cluster
    process = start(photos, tmp_path / "out", made.address)
    wait_for_results(process, tmp_path / "out", 6)
    victims = list_actors(nodes[1])
    assert victims, "the node has an actor"
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    out, err = process.communicate()
    assert process.returncode == 1, err
    check_report(json.loads(out), photos)
    assert read_folder(tmp_path / "out") == read_folder(plain)


def list_actors(node) -> list[int]:
    """Return the processes below a node's raylet that hold a model."""
    raylet = {one.process.pid for one in node.all_processes["raylet"]}
    found = []
    for folder in Path("/proc").iterdir():
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            title = (folder / "cmdline").read_text()
        except (OSError, ValueError, IndexError):
            continue
        if parent in raylet and "MapWorker" in title:
            found.append(int(folder.name))
    return found


RUN = """
import sys
from pathlib import Path
from spair.runtime import UserError
from spair.runtime.batch.planning import plan_jobs
from spair.runtime.images.finding import find_inputs
from spair.serving.cluster.run import run_on_cluster
from spair.serving.cluster.setting import ClusterSetting, ModelSetting

address, photos, out = sys.argv[1:]
try:
    jobs = plan_jobs(find_inputs([photos]), Path(out))
    run_on_cluster(ModelSetting("/nowhere/rain.spair"), jobs, Path(out), ClusterSetting(address))
except UserError as error:
    print(error)
"""


def test_nodes_that_cannot_open_the_model_end_the_run_with_a_sentence(cluster, photos, tmp_path):
    made, _ = cluster
    command = [sys.executable, "-c", RUN, made.address, str(photos), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "cannot work: " in done.stdout and "/nowhere/rain.spair" in done.stdout, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_cluster_at_an_address_is_a_sentence(photos, tmp_path):
    process = start(photos, tmp_path / "out", "127.0.0.1:1")
    _, err = process.communicate()
    assert process.returncode == 2 and "no Ray cluster answers at 127.0.0.1:1" in err and "Traceback" not in err
    assert list((tmp_path / "out").iterdir()) == []
