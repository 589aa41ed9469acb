"""Writers of a bundle take turns, and what one adds the next one keeps."""

import errno
import os
import signal
import subprocess
import sys
import threading

import pytest

from spair.runtime import Bundle, UserError
from spair.runtime.bundle import lock as bundle_lock
from spair.runtime.bundle import writer as bundle_writer
from spair.runtime.bundle.lock import lock_bundle
from spair.runtime.bundle.writer import extend_bundle, write_bundle
from tests.patience import PATIENCE

fcntl = pytest.importorskip("fcntl", reason="Windows has no such locks; Linux, where CI runs, has")

HALF = "graphs/fp16/net_l.onnx"
LIBRARY = "plugins/l4/lib.so"


def add_half(bundle):
    fields = {"graphs": {"fp16": {"net_l": HALF}}, "calibration": {"fp16": {"passed": True}}}
    return extend_bundle(bundle, fields, {HALF: b"half"})


def add_bytes(bundle):
    path = "graphs/int8/net_l.onnx"
    fields = {"graphs": {"int8": {"net_l": path}}, "calibration": {"int8": {"passed": True}}}
    return extend_bundle(bundle, fields, {path: b"bytes"})


def add_target(bundle):
    files = {LIBRARY: b"code"}
    return extend_bundle(bundle, {"targets": {"l4": {"library": LIBRARY}}}, files, without=("plugins/l4/",))


@pytest.mark.parametrize(("first", "second"), [(add_half, add_target), (add_target, add_half), (add_half, add_bytes)])
def test_two_that_read_before_either_writes_lose_nothing(bundles, first, second):
    path = bundles.spair().path
    one, other = Bundle.open(path), Bundle.open(path)
    first(one)
    second(other)
    both = Bundle.open(path)
    added = {add_half: HALF, add_bytes: "graphs/int8/net_l.onnx", add_target: LIBRARY}
    assert set(both.contents()) == {*one.manifest.files, added[first], added[second]}
    for write, precision in ((add_half, "fp16"), (add_bytes, "int8")):
        written = write in (first, second)
        assert (precision in both.precisions) == (precision in both.manifest.raw.get("calibration", {})) == written
    assert ("l4" in both.manifest.targets) == (add_target in (first, second))
    assert both.graph("fp32", "net_r").read_bytes() == bundles.net_r


def test_nothing_is_added_to_a_network_that_was_exported_anew(bundles):
    opened = bundles.spair()
    files = {**opened.contents(), "graphs/fp32/net_l.onnx": b"retrained"}
    write_bundle(opened.path, opened.manifest.raw, files, force=True)
    with pytest.raises(UserError, match="its network was exported anew while the work went on; nothing was written"):
        add_half(opened)
    assert Bundle.open(opened.path).precisions == ("fp32",)


def test_a_writer_waits_for_the_one_that_writes(bundles, monkeypatch):
    bundle = bundles.spair()
    waits, started, wait = threading.Event(), [], bundle_lock._wait_for

    def tell(descriptor):
        started.append(descriptor)
        waits.set()
        wait(descriptor)

    thread = threading.Thread(target=add_target, args=(Bundle.open(bundle.path),))
    with lock_bundle(bundle.path):
        monkeypatch.setattr(bundle_lock, "_wait_for", tell)
        thread.start()
        assert waits.wait(PATIENCE)
        assert Bundle.open(bundle.path).manifest.targets == {}
    thread.join(PATIENCE)
    assert list(Bundle.open(bundle.path).manifest.targets) == ["l4"]
    assert len(started) == 2, "the file that it waited for was removed, so it locks a new one"
    assert [path.name for path in bundle.path.parent.iterdir()] == [bundle.path.name]


def test_the_lock_of_a_killed_process_blocks_nobody(bundles):
    bundle = bundles.spair()
    code = (
        "import os, pathlib, signal, sys\n"
        "from spair.runtime.bundle.lock import lock_bundle\n"
        "with lock_bundle(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(bundle.path)], check=False)
    assert done.returncode == -signal.SIGKILL
    left = bundle.path.with_name(f".{bundle.path.name}.lock")
    assert left.is_file()
    add_target(bundle)
    assert not left.exists()


@pytest.mark.parametrize("missing", ["fcntl", "locks"])
def test_without_locks_additions_are_still_merged(bundles, monkeypatch, missing):
    def refuse(descriptor, operation):
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    if missing == "fcntl":
        monkeypatch.setattr(bundle_lock, "fcntl", None)
    else:
        monkeypatch.setattr(bundle_lock.fcntl, "flock", refuse)
    bundle = bundles.spair()
    opened = Bundle.open(bundle.path)
    add_half(bundle)
    assert add_target(opened).precisions == ("fp32", "fp16")


def test_a_lock_that_cannot_be_made_is_one_sentence(bundles, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    bundle = bundles.spair()
    monkeypatch.setattr(bundle_writer, "lock_bundle", refuse)
    with pytest.raises(UserError, match=r"cannot write the bundle .*: Permission denied; give a place"):
        add_half(bundle)


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError])
def test_the_lock_is_given_up_on_failure(bundles, failure):
    path = bundles.spair().path
    with pytest.raises(failure), lock_bundle(path):
        raise failure
    with lock_bundle(path):
        assert path.with_name(f".{path.name}.lock").is_file()
    assert not path.with_name(f".{path.name}.lock").exists()
