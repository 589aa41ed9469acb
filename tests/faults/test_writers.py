"""Whatever happens to a writer, afterwards there is the old or the new, and the next one leaves nothing else.

The short run takes a few moments of the quick writers; `make faults` takes every moment of all. A fault is injected
into a copy of this process, so a kill is a real one.
"""

import contextlib
import itertools
import os
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="Windows has no fork to make a copy of this process")
from spair.cli.shared.process.termination import ending_cleanly
from spair.runtime import files
from tests.faults.children import REFUSED, drop_rights, limit_files, list_steps, run, signal_at
from tests.faults.tally import count
from tests.faults.writers import IDS, LENGTH, WRITERS

LONG = "SPAIR_FAULTS" in os.environ
CASES = [pytest.param(one, id=name) for one, name in zip(WRITERS, IDS, strict=True) if LONG or one.quick]
MOMENTS = 4
"""Moments of a writer in the short run."""

each_writer = pytest.mark.parametrize("writer", CASES)


@pytest.fixture
def folder(tmp_path):
    """A folder that other users can enter."""
    place = tmp_path / "place"
    place.mkdir()
    return place


def choose(count: int) -> list[int]:
    """Choose moments among `count`, the first and the last among them; all in the long run."""
    if LONG or count <= MOMENTS:
        return list(range(count))
    return sorted({round(number * (count - 1) / (MOMENTS - 1)) for number in range(MOMENTS)})


def prepare(writer, folder: Path) -> list[str]:
    """Write the old version, also so that nothing is imported in copies; return the steps of a writer."""
    writer.write(folder, "old")
    return list_steps(lambda: writer.write(folder, "old"))


def check(writer, folder: Path, *, clean: bool, words=("old", "new")) -> str:
    """Check the invariant; return the version that is there."""
    found = writer.read(folder)
    assert found in words
    if not clean:  # what a killed process left goes with the next write, which a new process makes
        assert run(lambda: writer.write(folder, "old")) == 0
        assert writer.read(folder) == "old"
    assert sorted(path.name for path in folder.iterdir()) == [writer.name]
    return found


@each_writer
def test_a_kill_at_any_step(writer, folder):
    def work(step):
        signal_at(step, signal.SIGKILL)
        writer.write(folder, "new")

    steps, seen = prepare(writer, folder), set()
    for step in choose(len(steps)):
        count("kills at a step")
        assert run(lambda step=step: work(step)) == -signal.SIGKILL
        seen.add(check(writer, folder, clean=False))
    assert len(steps) > 1 and "old" in seen


@each_writer
def test_a_kill_in_the_middle_of_a_file(writer, folder):
    prepare(writer, folder)
    for size in (0, 1, LENGTH, 2 * LENGTH) if LONG else (LENGTH,):

        def work(size=size):
            limit_files(size, kill=True)
            writer.write(folder, "new")

        count("kills in the middle of a file")
        if run(work) == 0:  # a compressed file may be smaller
            assert writer.name == "key.zip" and size
        assert check(writer, folder, clean=False) in ("old", "new")


@each_writer
def test_a_signal_to_end_leaves_nothing_at_once(writer, folder):
    def work(step):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with ending_cleanly():
            signal_at(step, signal.SIGTERM)
            writer.write(folder, "new")

    for step in choose(len(prepare(writer, folder))):
        count("signals to end at a step")
        assert run(lambda step=step: work(step)) == 128 + signal.SIGTERM
        check(writer, folder, clean=True)


@each_writer
def test_a_full_disk_is_a_refusal_and_leaves_the_old(writer, folder):
    prepare(writer, folder)
    for size in (0, 1, LENGTH, 2 * LENGTH) if LONG else (0, LENGTH):

        def work(size=size):
            limit_files(size, kill=False)
            writer.write(folder, "new")

        count("full disks")
        code = run(work)
        assert code == REFUSED or (code == 0 and writer.name == "key.zip" and size)
        assert check(writer, folder, clean=True) == ("old" if code else "new")


@each_writer
def test_a_folder_that_may_not_be_written_is_a_refusal(writer, folder):
    prepare(writer, folder)
    (folder / "sub").mkdir()
    folder.chmod(0o555)
    try:

        def work():
            os.chdir(folder)
            drop_rights()
            writer.write(Path(), "new")

        count("folders that may not be written")
        assert run(work) == REFUSED
    finally:
        folder.chmod(0o755)
    (folder / "sub").rmdir()
    assert check(writer, folder, clean=True) == "old"


@each_writer
def test_writers_at_the_same_time_leave_one_of_theirs(writer, folder):
    prepare(writer, folder)
    words = ["w00", "w01", "w02"]
    children = []
    for word in words:
        child = os.fork()
        if child == 0:
            os._exit(run(lambda word=word: [writer.write(folder, word) for _ in range(20 if LONG else 4)]))
        children.append(child)
    count("sets of three writers at the same time")
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [0, 0, 0]
    check(writer, folder, clean=True, words=words)


@each_writer
def test_a_reader_meets_the_old_or_the_new_at_every_moment(writer, folder):
    """There are as many reads as writes at least, whichever of both the machine favours."""
    if not writer.one_step:
        return
    prepare(writer, folder)
    least, (enough, tell) = 60 if LONG else 20, os.pipe()
    child = os.fork()
    if child == 0:
        os.close(tell)

        def replace():
            for number, word in enumerate(itertools.cycle(["new", "old"])):
                writer.write(folder, word)
                if number >= least and select.select([enough], [], [], 0)[0]:
                    return

        os._exit(run(replace))
    os.close(enough)

    def look():
        assert writer.read(folder) in ("old", "new")
        count("reads during replacements")
        time.sleep(0.001)

    with os.fdopen(tell, "wb"):
        for _ in range(least):
            look()
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        look()
    check(writer, folder, clean=True)


@pytest.mark.parametrize("writer", [one for one in CASES if one.id in ("bundle", "addition to a bundle", "repository")])
def test_a_kill_at_any_step_where_names_cannot_be_exchanged(writer, folder, monkeypatch):
    """Such systems have a moment without the folder; the next writer puts the old one back."""
    monkeypatch.setattr(files, "exchange_names", lambda first, second: False)

    def work(step):
        signal_at(step, signal.SIGKILL)
        writer.write(folder, "new")

    steps, away = prepare(writer, folder), 0
    near = {step + by for step, event in enumerate(steps) if event == "os.rename" for by in (0, 1)}
    for step in range(len(steps)) if LONG else sorted(near):
        count("kills at a step, without an exchange of names")
        assert run(lambda step=step: work(step)) == -signal.SIGKILL
        away += not (folder / writer.name).exists()
        assert run(lambda: writer.write(folder, "old")) == 0
        assert check(writer, folder, clean=True) == "old"
    assert away


@pytest.mark.skipif(
    not LONG or os.geteuid() != 0, reason="slow: make faults runs it, and root alone mounts file systems"
)
@each_writer
def test_a_real_full_disk_is_a_refusal_and_leaves_the_old(writer, folder):
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], check=False).returncode:
        pytest.skip("this container may mount nothing")
    try:
        prepare(writer, folder)
        ballast = folder / ".ballast"
        for free in (0, 1, 2):  # pages of 4 KiB
            with contextlib.suppress(OSError), ballast.open("wb") as stream:
                while True:
                    stream.write(bytes(4096))
                    stream.flush()
            os.truncate(ballast, max(0, ballast.stat().st_size - 4096 * free))
            count("full disks")
            code = run(lambda: writer.write(folder, "new"))
            ballast.unlink()
            assert code in (REFUSED, 0)
            assert check(writer, folder, clean=True) == ("old" if code else "new")
            writer.write(folder, "old")
    finally:
        subprocess.run(["umount", str(folder)], check=True)
