"""Builds for this machine: parts, gate, interruption; the GPU is made up, and engines run on the CPU."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spair.export.engines import local, packages, parts
from spair.export.engines import target as engine_bundle
from spair.export.engines.builder import Engine
from spair.export.engines.gate import staging
from spair.plugins.compiler.targets import TARGETS
from spair.runtime import Bundle
from spair.runtime.bundle.engine_key import read_key
from spair.runtime.bundle.engines import Host, find_engine
from spair.runtime.cache import cache_folder
from spair.runtime.errors import UserError
from spair.runtime.machine.gpu import Device
from spair.runtime.trust import list_code, list_trusted
from tests.cli.test_build import host, rtx, snapshot, use_builder  # noqa: F401
from tests.patience import PATIENCE
from tests.plugins.conftest import kernel_settings, plugins  # noqa: F401
from tests.processes import is_running


def find_no_device() -> Device:
    raise UserError("there is no NVIDIA driver on this machine")


def test_every_part_is_found_by_a_machine_that_it_fits(spair, bundle, host, rtx):  # noqa: F811
    assert spair("build", bundle, "--target", host, "--max-size", "640x480", "--usual-size", "320x240").code == 0
    opened = Bundle.open(bundle)
    machine = Host("tensorrt_rtx", importlib.metadata.version("tensorrt-rtx-cu13"), "x86_64", 89)
    plans = {part: find_engine(opened, host, "fp32", machine, part=part) for part in ("model", "net_l", "net_r")}
    assert len({found.plan for found in plans.values()}) == 3
    for part, found in plans.items():
        assert (found.key.part, found.key.graph) == (part, opened.manifest.files[f"graphs/fp32/{part}.onnx"])
        assert found.library.name == "libspair_plugins.so"
    shapes = plans["net_r"].key.options["profile"]
    assert shapes["image"] == [[1, 3, 8, 8], [1, 3, 240, 320], [1, 3, 512, 640]]


L4 = Device("NVIDIA L4", 89, (12, 6), 58, 22 << 30)


@pytest.fixture
def gpu(host, rtx, plugins, monkeypatch):  # noqa: F811
    """As if this machine had an L4 and TensorRT-RTX alone; engines run on the CPU."""
    for module in (local, packages):
        monkeypatch.setattr(module, "find_device", lambda: L4)
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(local.importlib.util, "find_spec", lambda name: None if name == "tensorrt" else find_spec(name))
    monkeypatch.setattr(staging, "BACKEND", {"backend": "onnxruntime"})
    return plugins


LOCAL = ("--target", "local", "--max-size", "320x240", "--usual-size", "320x240")


def test_engines_for_this_machine_are_built_and_gated(spair, bundle, gpu):
    run = spair("build", bundle, *LOCAL, "--json")
    assert run.code == 0, run.err
    report = run.json
    assert (report["target"], report["architectures"], report["notes"]) == ("local", [89], [])
    gate = report["gate"]["fp32"]
    assert len(gate["samples"]) == 9
    assert all(sample["found"]["psnr"] == 100 for sample in gate["samples"]), "the CPU is compared with itself"
    opened = Bundle.open(bundle)
    entry = opened.manifest.targets["local"]
    assert json.loads(opened.file(entry["engines"]["fp32"]["gate"]).read_text()) == gate
    assert read_key(opened.file(entry["engines"]["fp32"]["key"]).read_text(), "key").target == "local"
    assert Path(report["library"]) == bundle / "plugins/local/libspair_plugins.so"
    shown = spair("build", bundle, *LOCAL)
    assert re.search(r"^gate +fp32: at least 100\.0 dB to ONNX Runtime on 9 pictures$", shown.out, re.MULTILINE)
    assert "0 engines to build, 3 from the cache" in shown.err


@pytest.mark.whole
def test_what_was_built_here_is_trusted_and_what_failed_is_not(spair, bundle, gpu, monkeypatch, tmp_path):
    folder = tmp_path / "own"
    shutil.copytree(cache_folder(), folder, ignore=shutil.ignore_patterns("trusted.json"))
    monkeypatch.setenv("SPAIR_CACHE", str(folder))
    with monkeypatch.context() as broken:
        broken.setattr(staging, "BACKEND", {"backend": "nothing"})
        assert spair("build", bundle, *LOCAL).code == 1
        assert list_trusted() == {}
    assert spair("build", bundle, *LOCAL).code == 0
    code = list_code(Bundle.open(bundle), "local")
    assert {one.sha256 for one in code} == set(list_trusted())
    assert {Path(one.file).suffix for one in code} == {".so", ".engine"}


def test_an_engine_that_fails_the_gate_leaves_the_bundle_as_it_was(spair, bundle, gpu, monkeypatch):
    before = snapshot(bundle)
    run = staging.run_in_child

    def spoil(*given, **more):
        return [(picture ^ 0x40, mask) for picture, mask in run(*given, **more)]

    monkeypatch.setattr(staging, "run_in_child", spoil)
    spair("build", bundle, *LOCAL).refused("fp32 engine does not restore the picture .* as it was$", code=1)
    assert snapshot(bundle) == before
    monkeypatch.setattr(staging, "run_in_child", run)
    again = spair("build", bundle, *LOCAL, "--json").json
    assert again["estimate"]["cached"] == 0, "engines that failed are not taken from the cache"


def test_an_engine_that_does_not_run_leaves_the_bundle_as_it_was(spair, bundle, gpu, monkeypatch):
    monkeypatch.setattr(staging, "BACKEND", {"backend": "nothing"})
    before = snapshot(bundle)
    spair("build", bundle, *LOCAL).refused("the engine was built and does not run: .*nothing", code=1)
    assert snapshot(bundle) == before


def test_without_a_gpu_the_local_target_is_refused_before_all_work(spair, bundle, monkeypatch):
    monkeypatch.setattr(local, "find_device", find_no_device)
    monkeypatch.setattr(engine_bundle, "build_plugins", lambda *given, **more: pytest.fail("compiled"))
    spair("build", bundle, "--target", "local").refused("on this machine's own GPU, but there is no NVIDIA driver")


def test_a_machine_that_compiles_no_plugins_is_told_where_to_get_them(spair, bundle, gpu, monkeypatch):
    monkeypatch.setattr(engine_bundle, "build_plugins", lambda *given, **more: pytest.fail("compiled"))
    monkeypatch.setattr(
        local.importlib.util, "find_spec", lambda name: None if name in ("triton", "tensorrt") else name
    )
    spair("build", bundle, *LOCAL).refused("Triton is not installed; .*--target l4 --no-engines, then copy the bundle")


def test_ctrl_c_ends_the_builder_and_leaves_the_bundle_as_it_was(bundle, host, plugins, tmp_path):  # noqa: F811
    before = snapshot(bundle)
    worker = tmp_path / "worker.py"
    worker.write_text(  # a builder that tells its number once a line of it was read, so that it is watched
        "import array, fcntl, os, pathlib, sys, termios, time\n"
        "pipe, unread = int(sys.argv[3]), array.array('i', [1])\n"
        "os.write(pipe, b'here\\n')\n"
        "while unread[0]:\n    time.sleep(0.01)\n    fcntl.ioctl(pipe, termios.FIONREAD, unread)\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))\n"
        "time.sleep(600)\n"
    )
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from spair.cli.main import main\nfrom spair.export.engines import builder, collection, target\n"
        "from spair.plugins.compiler import targets\nfrom tests.plugins.conftest import HOST_TARGET\n"
        "targets.TARGETS = (*targets.TARGETS, HOST_TARGET)\n"
        f"builder._WORKER = Path({str(worker)!r})\n"
        "for module in (builder, collection, target):\n    module.builder_of = lambda target: ('tensorrt_rtx', '1')\n"
        "main()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", code, "build", str(bundle), "--target", host]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode not in (0, None) and b"Traceback" not in errors
    assert not is_running(int((tmp_path / "pid").read_text()))
    assert snapshot(bundle) == before


def test_int8_engines_are_built_unasked_where_they_were_counted_to_issue_less(
    spair,
    bundle,
    host,  # noqa: F811
    plugins,  # noqa: F811
    monkeypatch,
    edit_manifest,
):
    edit_manifest(lambda manifest: manifest["graphs"].update(int8=manifest["graphs"]["fp32"]))
    monkeypatch.setattr(parts, "build_engine", lambda *given, **more: Engine(b"a plan", 9, 3))
    use_builder(monkeypatch)
    report = spair("build", bundle, "--target", host, "--library", plugins.path, "--no-cache", "--json").json
    assert [engine["precision"] for engine in report["engines"]] == ["fp32", "int8"]
    assert not any("no int8 engine" in note for note in report["notes"])


def test_the_page_names_the_targets_whose_int8_engines_must_be_named():
    first, second, third = (f"`{target.name}`" for target in TARGETS if engine_bundle.explain_named(target))
    page = (Path(__file__).parents[3] / "docs/tasks/build.md").read_text(encoding="utf-8")
    assert f"INT8 for {first}, {second} and {third} only if it is named" in page


def test_int8_engines_are_built_only_when_named(spair, bundle, host, plugins, monkeypatch, edit_manifest):  # noqa: F811
    monkeypatch.setitem(engine_bundle.NOT_FEWER, 89, "issue 3 times the instructions of FP16's")
    edit_manifest(lambda manifest: manifest["graphs"].update(int8=manifest["graphs"]["fp32"]))
    monkeypatch.setattr(parts, "build_engine", lambda *given, **more: Engine(b"a plan", 9, 3))
    use_builder(monkeypatch)
    words = ("build", bundle, "--target", host, "--library", plugins.path, "--no-cache", "--json")
    report = spair(*words).json
    assert [engine["precision"] for engine in report["engines"]] == ["fp32"]
    reason = (
        "no int8 engine was built: for sm_89 its sparse layers issue 3 times the instructions of FP16's, and on an H100"
    )
    assert any(note.startswith(reason) for note in report["notes"])
    named = spair(*words, "--precision", "int8").json
    assert [engine["precision"] for engine in named["engines"]] == ["int8"]
    assert not any("int8" in note for note in named["notes"])


def test_options_of_the_builder_come_from_the_command_line(spair, bundle, host, plugins, monkeypatch):  # noqa: F811
    seen = []

    def fake(graph, library, target, options, **more):
        seen.append((graph.stem, options, more["outputs"], more["supervision"].timeout))
        return Engine(b"a plan", 9, 3)

    monkeypatch.setattr(parts, "build_engine", fake)
    use_builder(monkeypatch)
    words = ("build", bundle, "--target", host, "--library", plugins.path, "--no-cache", "--json")
    more = ("--optimization-level", 4, "--workspace", 512, "--keep-outputs", "mask_uncropped", "--timeout", 3)
    assert spair(*words, *more).code == 0
    stem, options, outputs, timeout = seen[0]
    assert (stem, options.level, options.workspace, outputs, timeout) == ("model", 4, 512, ("mask_uncropped",), 180)
    assert seen[1][2] == ()
    spair(*words, "--keep-outputs", "absent*").refused("--keep-outputs absent. matches no tensor of the fp32 graphs")


def test_a_tensorrt_that_is_too_old_is_told_before_the_compiling(spair, bundle, monkeypatch):
    monkeypatch.setattr(engine_bundle, "build_plugins", lambda *given, **more: pytest.fail("compiled"))
    monkeypatch.setattr(packages, "find_device", lambda: L4)
    monkeypatch.setattr(packages, "read_version", lambda package, name: "10.0.1")
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: name)
    spair("build", bundle, "--target", "l4").refused(r"l4 has TensorRT 10\.3 or later, this machine has 10\.0\.1")
