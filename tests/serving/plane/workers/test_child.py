"""A child process is nobody's but its parent's, and ends with it."""

import asyncio
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from spair.runtime.children import make_python_command
from spair.serving.plane.workers.process import WorkerProcess
from spair.serving.plane.workers.protocol import PIXELS_TASK, Opening, Task
from tests.patience import PATIENCE, wait_until
from tests.processes import is_running
from tests.serving.plane import commanded
from tests.serving.plane.planes import command

TASK = Task(PIXELS_TASK, (1, 3, 1, 1), ("restored",))
PARENT = """
import asyncio, sys, time
import numpy as np
from spair.serving.plane.workers.process import WorkerProcess
from spair.serving.plane.workers.protocol import PIXELS_TASK, Opening, Task

async def main():
    worker = await WorkerProcess.start(Opening("m", sys.argv[1], sys.argv[2], {}))
    print(worker.pid, flush=True)
    picture = np.full((1, 3, 1, 1), int(sys.argv[3]), np.uint8)
    await worker.ask(worker.lanes[0], Task(PIXELS_TASK, (1, 3, 1, 1), ()), [picture], 600)
    time.sleep(600)

asyncio.run(main())
"""


@pytest.mark.parametrize("number", [1, commanded.HANG, commanded.HOLD])
def test_it_ends_with_a_parent_that_is_killed_also_while_it_computes(tmp_path, number):
    if number == commanded.HOLD and sys.platform != "linux":
        pytest.skip("Linux alone ends a process whose threads stand still")
    parent = subprocess.Popen(
        make_python_command(PARENT, str(tmp_path), commanded.OPENER, str(number)), stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    try:
        pid = int(parent.stdout.readline())
        wait_until((tmp_path / "calls").exists, "the child computes")
        assert is_running(pid)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    try:
        wait_until(lambda: not is_running(pid), "the child has ended with its parent")
    except AssertionError:
        os.kill(pid, signal.SIGKILL)
        raise


def test_signals_of_a_terminal_or_a_service_manager_are_left_to_the_parent(tmp_path):
    async def test():
        worker = await WorkerProcess.start(Opening("m", str(tmp_path), commanded.OPENER, {}))
        assert os.getsid(worker.pid) != os.getsid(0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(worker.pid, number)
        reply = await worker.ask(worker.lanes[0], TASK, [command(5)], PATIENCE)
        assert reply.reports[0].failure == "" and is_running(worker.pid)
        await worker.close()

    asyncio.run(asyncio.wait_for(test(), PATIENCE))


def test_modules_in_the_current_folder_do_not_replace_those_of_python(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    monkeypatch.chdir(tmp_path)

    async def test():
        worker = await WorkerProcess.start(Opening("m", str(tmp_path), commanded.OPENER, {}))
        await worker.close()

    asyncio.run(asyncio.wait_for(test(), PATIENCE))


def test_what_libraries_print_is_no_output_of_the_server(tmp_path, monkeypatch):
    (tmp_path / "noisy.py").write_text(
        "from tests.serving.plane.commanded import open_commanded\n"
        "def open(path, options):\n    print('noise')\n    return open_commanded(path, options)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    done = subprocess.run(
        make_python_command(PARENT.replace("    time.sleep(600)\n", ""), str(tmp_path), "noisy:open", "1"),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stdout.strip().isdigit() and "noise" in done.stderr


def test_it_is_the_first_to_go_when_memory_runs_out(tmp_path):
    if sys.platform != "linux":
        pytest.skip("Linux alone has an order in which processes go")

    async def test():
        worker = await WorkerProcess.start(Opening("m", str(tmp_path), commanded.OPENER, {}))
        with open(f"/proc/{worker.pid}/oom_score_adj") as file:  # noqa: PTH123
            score = int(file.read())
        await worker.close()
        return score

    assert asyncio.run(asyncio.wait_for(test(), PATIENCE)) == 500


def test_a_crash_leaves_a_traceback_in_the_log(tmp_path, capfd):
    (tmp_path / "crash").touch()

    async def test():
        with pytest.raises(Exception, match="SIGSEGV"):
            await WorkerProcess.start(Opening("m", str(tmp_path), commanded.OPENER, {}))

    asyncio.run(asyncio.wait_for(test(), PATIENCE))
    assert "open_commanded" in capfd.readouterr().err


def test_options_reach_the_opener_as_they_were(tmp_path, monkeypatch):
    (tmp_path / "telling.py").write_text(
        "import dataclasses, json, pathlib\nfrom tests.serving.plane.commanded import open_commanded\n"
        "def open(path, options):\n"
        "    (pathlib.Path(path) / 'options').write_text(json.dumps(dataclasses.asdict(options)))\n"
        "    return open_commanded(path, options)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    given = {"backend": "cuda", "precision": "fp16", "threads": 3, "tile": 64, "trust_code": True, "batch": 2}
    given |= {"expect_digest": ["0" * 64], "flips": 4}

    async def test():
        worker = await WorkerProcess.start(Opening("m", str(tmp_path), "telling:open", given))
        await worker.close()

    asyncio.run(asyncio.wait_for(test(), PATIENCE))
    assert json.loads((tmp_path / "options").read_text()) == given


def test_pictures_that_are_larger_than_all_before_are_computed(tmp_path):
    async def test():
        worker = await WorkerProcess.start(Opening("m", str(tmp_path), commanded.OPENER, {}))
        lane = worker.lanes[0]
        for side in (2, 1200, 3, 1300):
            values = np.random.default_rng(side).integers(0, 256, (1, 3, side, side), np.uint8)
            reply = await worker.ask(lane, Task(PIXELS_TASK, values.shape, ("restored", "mask")), [values], PATIENCE)
            place, shape = reply.places["restored"]
            np.testing.assert_array_equal(lane.arena.read(place, shape), 255 - values)
            lane.arena.trim()
        await worker.close()

    asyncio.run(asyncio.wait_for(test(), PATIENCE))
