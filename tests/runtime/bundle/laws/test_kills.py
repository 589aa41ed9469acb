"""A writer that is killed at any step leaves the old bundle or the new one, and nothing that the next one keeps."""

import os
import signal
import sys

import pytest

from spair.runtime import Bundle, UserError, files
from spair.runtime.bundle.writer import extend_bundle, write_bundle

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork to make a copy of this process")
STEPS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.listdir", "os.scandir")
"""Events of Python's audit hooks that come right before a system call that writes, or between two of them."""


def add(path, exchange):
    """Add a file; the steps of a writer."""
    if not exchange:
        files.exchange_names = lambda first, second: False
    extend_bundle(Bundle.open(path), {"task": "new"}, {"graphs/fp16/net_l.onnx": b"half"})


def kill_at(step, path, exchange):
    """Run the writer in a copy of this process that kills itself before its step of that number.

    Returns whether it lived to its end.
    """
    child = os.fork()
    if child == 0:  # no exception may leave this branch: it would go on with the tests
        try:
            left = [step]

            def hook(event, _):
                if event in STEPS:
                    left[0] -= 1
                    if left[0] < 0:
                        os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(hook)
            add(path, exchange)
            os._exit(0)
        except BaseException:
            os._exit(3)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the writer failed"
    return not os.WIFSIGNALED(status)


@needs_fork
@pytest.mark.parametrize("exchange", [True, False], ids=["one step", "two renames"])
def test_a_kill_at_any_step_leaves_the_old_or_the_new_bundle(bundles, exchange):
    path, seen, step, away = bundles.spair().path, set(), 0, 0
    while not kill_at(step, path, exchange):
        step += 1
        if exchange:  # at every moment, before any other writer looks
            found = Bundle.open(path)
            found.contents()
            seen.add(found.manifest.task)
        elif not path.exists():
            with pytest.raises(UserError, match=r"killed while it replaced it; the old one is at .*\.old: rename it"):
                Bundle.open(path)
            with pytest.raises(UserError, match="it exists"):  # a writer puts it back before it looks
                write_bundle(path, {}, {})
            away += 1
        add(path, exchange=True)
        assert [one.name for one in path.parent.iterdir()] == [path.name]
        bundle = Bundle.open(path)
        assert set(bundle.contents()) >= {"graphs/fp32/net_l.onnx", "graphs/fp16/net_l.onnx"}
        extend_bundle(bundle, {"task": "old"}, {})
    assert step > 10, "the writer has more steps than that"
    assert (away > 0) == (not exchange)
    assert not exchange or seen == {"old", "new", "rain"}


def test_names_are_exchanged_in_one_step_or_not_at_all(tmp_path):
    from spair.runtime.files import exchange_names

    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inside").write_text("1")
    (tmp_path / "file").write_text("2")
    if not exchange_names(tmp_path / "folder", tmp_path / "file"):
        pytest.skip("Linux alone exchanges names, on most of its file systems")
    assert (tmp_path / "folder").read_text() == "2"
    assert (tmp_path / "file" / "inside").read_text() == "1"
    with pytest.raises(FileNotFoundError, match="absent"):
        exchange_names(tmp_path / "absent", tmp_path / "file")
