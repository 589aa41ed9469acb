"""Child processes: every end of one is told, and none is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from spair.export.engines.child import process
from spair.export.engines.child.process import make_environment, run_child
from tests.export.engines.test_builder import rtx  # noqa: F401
from tests.patience import PATIENCE, wait_until
from tests.processes import is_running


def run(folder: Path, code: str, **options: object) -> str:
    return run_child([sys.executable, "-c", f"import os, sys\n{code}"], folder, dict(os.environ), **options)


def test_a_child_that_ends_well_says_nothing_and_its_lines_arrive(tmp_path):
    lines: list[str] = []
    code = "pipe = os.fdopen(int(sys.argv[1]), 'w')\nprint('noise')\npipe.write('one\\ntwo\\n')\npipe.close()"
    assert run(tmp_path, code, read_line=lines.append) == ""
    assert lines == ["one", "two"]
    assert (tmp_path / "log").read_text() == "noise\n"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("sys.stderr.write('a\\nb'); sys.exit(3)", "its process ended with code 3 (a b)"),
        ("os.kill(os.getpid(), 11)", "its process was ended by SIGSEGV"),
        (
            "print('x' * 900, flush=True); os.kill(os.getpid(), 9)",
            f"its process was ended by SIGKILL, as the system does when memory runs out ({'x' * 400})",
        ),
        ("os.kill(os.getpid(), 40)", "its process was ended by signal 40"),
    ],
    ids=["code", "segfault", "killed", "real time signal"],
)
def test_each_kind_of_end_is_told_with_the_last_words(tmp_path, code, reason):
    assert run(tmp_path, code) == reason


def test_a_child_that_the_system_ended_for_memory_is_told_as_such(tmp_path, monkeypatch):
    """Nothing here runs out of memory: the file of Linux that counts such ends is replaced by numbers."""
    counts = iter([41, 42])
    monkeypatch.setattr(process, "count_kills", lambda: next(counts))
    reason = run(tmp_path, "print('tactic 7', flush=True); os.kill(os.getpid(), 9)")
    assert reason == "the system ended its process because memory ran out (tactic 7)"


@pytest.mark.skipif(not Path("/proc/self/oom_score_adj").exists(), reason="Linux alone ranks processes for memory")
def test_linux_would_end_the_child_before_all_others(tmp_path):
    """The parent has raised the score by the time that it reads the child's lines."""
    code = (
        "import time\nfile = '/proc/self/oom_score_adj'\n"
        "while open(file).read() != '1000\\n':\n    time.sleep(0.01)\n"
        "os.write(int(sys.argv[1]), b'raised\\n')"
    )
    lines: list[str] = []
    assert run(tmp_path, code, read_line=lines.append, timeout=60) == "" and lines == ["raised"]
    assert Path("/proc/self/oom_score_adj").read_text() != "1000\n", "its own score stays"


def test_kills_are_counted_as_linux_writes_them(tmp_path):
    (tmp_path / "vmstat").write_text("nr_free_pages 1\noom_kill 12\noom_kill_x 3\n")
    assert process.count_kills(tmp_path / "vmstat") == 12
    (tmp_path / "vmstat").write_text("nr_free_pages 1\n")
    assert process.count_kills(tmp_path / "vmstat") == 0 and process.count_kills(tmp_path / "absent") == 0


def wait_until_gone(number: int) -> None:
    wait_until(lambda: not is_running(number), f"the process {number} has ended")


SLEEPER = """
import subprocess
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with os.fdopen(int(sys.argv[1]), "w") as pipe:
    pipe.write(f"{os.getpid()} {other.pid}\\n")
    pipe.flush()
    other.wait()
"""
"""Writes its number and that of a process of its own, and waits for that one."""


def test_a_child_that_takes_too_long_is_ended_with_its_own_children(tmp_path, monkeypatch):
    lines, now = [], [0.0]

    def wait_long(line: str) -> None:
        lines.append(line)
        now[0] += 4.0

    monkeypatch.setattr("spair.export.engines.child.process.time", SimpleNamespace(monotonic=lambda: now[0]))
    assert run(tmp_path, SLEEPER, read_line=wait_long, timeout=3) == "its process was stopped after 3 seconds"
    for number in lines[0].split():
        wait_until_gone(int(number))


def test_ctrl_c_ends_the_child(tmp_path):
    lines: list[str] = []

    def interrupt(line: str) -> None:
        lines.append(line)
        signal.raise_signal(signal.SIGINT)

    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, SLEEPER, read_line=interrupt)
    for number in lines[0].split():
        wait_until_gone(int(number))


def test_a_child_that_ignores_the_first_signal_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("spair.export.engines.child.process._GRACE", 0.2)
    code = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)"
    assert run(tmp_path, code, timeout=1) == "its process was stopped after 1 seconds"


def test_lines_that_were_written_last_arrive(tmp_path):
    lines: list[str] = []
    code = "os.write(int(sys.argv[1]), b'\\n'.join(b'%d' % number for number in range(9000)) + b'\\n'); os._exit(7)"
    assert run(tmp_path, code, read_line=lines.append) == "its process ended with code 7"
    assert lines == [str(number) for number in range(9000)]


def test_a_pipe_that_a_grandchild_holds_does_not_delay_the_end(tmp_path):
    code = (
        "import subprocess\nother = subprocess.Popen(['sleep', '600'], pass_fds=(int(sys.argv[1]),))\n"
        "os.write(int(sys.argv[1]), b'%d\\n' % other.pid)"
    )
    lines: list[str] = []
    assert run(tmp_path, code, read_line=lines.append, timeout=PATIENCE) == ""
    os.kill(int(lines[0]), signal.SIGKILL)


def test_a_child_that_closes_its_pipe_is_waited_for(tmp_path):
    code = "import time\nos.close(int(sys.argv[1]))\ntime.sleep({})\nsys.exit(5)"
    assert run(tmp_path, code.format(0.3)) == "its process ended with code 5"
    assert run(tmp_path, code.format(600), timeout=0.5) == "its process was stopped after 0.5 seconds"


def test_no_pipe_is_left_open(tmp_path):
    before = len(list(Path("/proc/self/fd").iterdir()))
    run(tmp_path, "pass")
    with pytest.raises(FileNotFoundError):
        run_child([str(tmp_path / "absent")], tmp_path, dict(os.environ))
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_the_parser_finds_its_library_by_the_name_it_opens(rtx, tmp_path):  # noqa: F811
    environment = make_environment("tensorrt_rtx", tmp_path)
    code = "import ctypes; ctypes.CDLL('libtensorrt_rtx.so')"
    plain = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    assert subprocess.run([sys.executable, "-c", code], env=plain, capture_output=True, check=False).returncode != 0
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


def test_the_users_own_loader_path_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", "/own/libraries")
    assert make_environment("tensorrt_rtx", tmp_path)["LD_LIBRARY_PATH"].split(":")[-1] == "/own/libraries"
