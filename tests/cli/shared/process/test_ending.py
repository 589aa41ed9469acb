"""A closed or broken stdout and an early Ctrl-C end the process in words, or silently, never in a traceback."""

import io
import os
import subprocess
import sys

import pytest
import typer

from spair.cli.shared.output import deliver
from spair.cli.shared.process import ending
from spair.runtime.live.sources.capture import Capture

CODE = "from spair.cli import main; import sys; sys.argv = ['spair', *sys.argv[1:]]; main()"


class Stream(io.StringIO):
    """A stdout that fails."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def flush(self):
        raise self.error


@pytest.mark.parametrize("as_json", [True, False])
def test_a_reader_that_is_gone_is_no_error(monkeypatch, as_json):
    monkeypatch.setattr(sys, "stdout", Stream(BrokenPipeError(32, "Broken pipe")))
    assert ending.is_reader_gone()
    with pytest.raises(typer.Exit) as caught:
        deliver({"a": 1}, as_json, lambda report, console: console.print("a"))
    assert caught.value.exit_code == 141


def test_a_full_disk_is_told(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Stream(OSError(28, "No space left on device")))
    assert not ending.is_reader_gone()
    with pytest.raises(
        ending.OutputError, match="cannot write the result to stdout: No space left on device"
    ) as caught:
        deliver({"a": 1}, True, lambda report, console: None)
    assert caught.value.exit_code == 1


def run(arguments, code=CODE, **streams):
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, **streams)


def test_a_real_process_with_a_closed_or_broken_stdout():
    """Its files are not opened in the place of stdout, and nothing is left to fail at its end."""
    closed = run(["models", "--json"], preexec_fn=lambda: os.close(1))
    assert (closed.returncode, closed.stderr.count("\n")) == (1, 1), closed.stderr
    assert closed.stderr.startswith("error: cannot write the result: stdout is closed; ")
    reader, writer = os.pipe()
    os.close(reader)
    broken = run(["models", "--json"], stdout=writer)
    os.close(writer)
    assert (broken.returncode, broken.stderr) == (141, "")


def test_an_interruption_of_the_imports_has_no_traceback():
    interrupting = (
        "import sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'typer': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupting())\n"
    )
    done = run(["models"], interrupting + CODE, stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_an_interruption_before_the_verb_has_no_traceback():
    """The command is put together from its verbs first."""
    interrupting = (
        "import typer.main\n"
        "def interrupt(*arguments, **options): raise KeyboardInterrupt\n"
        "typer.main.get_command = interrupt\n"
    )
    done = run(["models"], interrupting + CODE, stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


HANGS = """
import atexit, sys, threading
from spair.cli.shared.process.ending import CAPTURE, leave_hanging
threading.Thread(target=threading.Event().wait, name=sys.argv[1].format(CAPTURE), daemon=True).start()
atexit.register(print, "tidied up")
print("done")
leave_hanging(3)
print("still there")
"""


@pytest.mark.parametrize(
    ("name", "code", "printed"), [("{}", 3, "done\ntidied up\n"), ("other", 0, "done\nstill there\ntidied up\n")]
)
def test_beside_a_thread_that_hangs_in_a_driver_the_process_ends_at_once(name, code, printed):
    run = subprocess.run([sys.executable, "-c", HANGS, name], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (code, printed, "")


def test_captures_have_the_name_of_threads_that_may_hang():
    assert Capture(lambda stopping: None, 0)._thread.name == ending.CAPTURE
