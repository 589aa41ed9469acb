"""`spair build`: what it makes is whole and keyed, and what it refuses leaves the bundle as it was."""

from __future__ import annotations

import errno
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from spair.cli import build as build_module
from spair.export.counts.layers import list_layers
from spair.export.engines import builder as engine_module
from spair.export.engines import collection, packages, parts
from spair.export.engines import target as engine_bundle
from spair.export.engines.builder import Engine
from spair.plugins.compiler import build as plugin_build
from spair.plugins.compiler import targets
from spair.plugins.compiler.kernels.compilation import RuleError
from spair.plugins.compiler.library.embedding import read_label
from spair.runtime import Bundle
from spair.runtime.bundle import writer
from spair.runtime.bundle.engine_key import read_key
from spair.runtime.bundle.engines import Host, find_engine
from spair.runtime.errors import GateError, UserError
from tests.plugins.conftest import HOST_TARGET, kernel_settings, plugins  # noqa: F401
from tests.runtime.bundle.samples import make_older

ADDED = 4  # nodes of an engine: the lists of three masks, and the composition of the picture


@pytest.fixture
def host(plugins, kernel_settings, monkeypatch):  # noqa: F811
    """The name of a target whose library is compiled already, and found in the user's cache."""
    monkeypatch.setattr(targets, "TARGETS", (*targets.TARGETS, HOST_TARGET))
    monkeypatch.setenv("SPAIR_CACHE", str(kernel_settings.cache.folder.parent))
    return HOST_TARGET.name


@pytest.fixture
def rtx():
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX builds engines: pip install 'spair-rt[rtx]'")


def use_builder(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if TensorRT-RTX were installed."""
    for module in (engine_module, engine_bundle, collection):
        monkeypatch.setattr(module, "builder_of", lambda target: ("tensorrt_rtx", "0.0.test"))


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def hash_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_library_and_engine_are_in_the_bundle_beside_their_key(spair, bundle, host, rtx, plugins, monkeypatch):  # noqa: F811
    def find_no_device():
        raise UserError("there is no NVIDIA driver on this machine")

    monkeypatch.setattr(packages, "find_device", find_no_device)
    before = snapshot(bundle)
    run = spair("build", bundle, "--target", host, "--max-size", "640x480", "--usual-size", "320x240", "--json")
    assert run.code == 0, run.err
    report = run.json
    operators = Bundle.open(bundle).manifest.operators
    assert {"target", "library", "operators", "engines", "kernels"} <= report.keys()
    assert (report["target"], report["operators"]) == (host, operators)
    fixed = [kernel for kernel in plugins.report["kernels"] if not re.search(r"layer|neighbours", kernel["name"])]
    assert [kernel for kernel in report["kernels"] if not re.search(r"layer|neighbours", kernel["name"])] == fixed
    graph = onnx.load_from_string(engine_bundle.prepare_engine_graph(bundle / "graphs/fp32/model.onnx"))
    layers = {".".join(("convolve_layer", *layer.parts)) for layer in list_layers(graph)}
    own = {kernel["name"]: kernel for kernel in report["kernels"] if kernel["name"].startswith("convolve_layer")}
    assert own.keys() == layers, "the bundle's own layers have kernels of their sizes"
    assert all(kernel["warp_instructions_per_pixel"] > 0 for kernel in own.values())
    assert report["kernels"][0]["warp_instructions_per_pixel"] is None
    assert len(operators) < report["launches"]["fp32"] <= 40
    assert report["bytes_between_plugins"]["fp32"] > 640 * 480
    assert {"name", "sm", "registers", "spills", "shared"} <= report["kernels"][0].keys()
    (engine,) = report["engines"]
    assert (engine["precision"], engine["plugin_layers"]) == ("fp32", sum(operators.values()) + ADDED)
    assert engine["layers"] > engine["plugin_layers"]
    assert Path(engine["path"]).read_bytes().startswith(b"vtrt")
    assert set(engine["parts"]) == {"net_l", "net_r"}
    assert engine["parts"]["net_l"]["plugin_layers"] == 0
    inside = sum(operators.values()) + ADDED - operators["MaskedModulation"]  # the runtime computes it from all pieces
    assert engine["parts"]["net_r"]["plugin_layers"] == inside
    for part in engine["parts"].values():
        assert Path(part["path"]).read_bytes().startswith(b"vtrt")
    assert (report["gate"], report["estimate"]["engines"] + report["estimate"]["cached"]) == ({}, 3)
    assert report["notes"] == [
        "the engines are not gated: no GPU here, so they were not compared with ONNX Runtime",
    ]
    assert re.search(r"^\d engines to build, \d from the cache", run.err, re.MULTILINE)
    after = snapshot(bundle)
    assert {name: data for name, data in after.items() if name in before and name != "manifest.json"} == {
        name: data for name, data in before.items() if name != "manifest.json"
    }
    opened = Bundle.open(bundle)
    assert set(opened.contents()) == set(after) - {"manifest.json"}, "every file is listed with its hash"
    entry = opened.manifest.targets[host]
    key = read_key((bundle / entry["engines"]["fp32"]["key"]).read_text(), "key")
    assert (key.target, key.precision, key.part, key.builder) == (host, "fp32", "model", "tensorrt_rtx")
    assert key.version == importlib.metadata.version("tensorrt-rtx-cu13")
    assert (key.machine, key.architectures, key.device, key.driver) == ("x86_64", (89,), "", "")
    assert key.graph == hash_of(after["graphs/fp32/model.onnx"])
    assert key.library == hash_of(after[entry["library"]])
    assert (key.options["largest"], key.options["usual"], key.options["batch"]) == ([640, 480], [320, 240], 1)
    assert after[entry["autoload"]] == plugins.autoload.read_bytes()
    assert Path(entry["autoload"]).parent == Path(entry["library"]).parent, "it loads the library beside it"
    assert json.loads((bundle / entry["report"]).read_text())["kernels"] == report["kernels"]
    assert "compact_mask.fp32" in after[f"plugins/{host}/kernels.txt"].decode()


def test_a_built_target_is_listed_and_the_text_says_what_was_made(spair, bundle, host):
    run = spair("build", bundle, "--target", host, "--no-engines")
    assert run.code == 0, run.err
    assert "sm_89, PTX of sm_89 for later GPUs" in run.out
    assert "SparseConv2d" in run.out
    assert "sparse_conv2d " in run.out
    assert spair("inspect", bundle, "--json").json["targets"] == [host]
    assert re.search(rf"^targets +{host} *$", spair("inspect", bundle).out, re.MULTILINE)


def test_engines_come_from_the_cache_when_nothing_changed(spair, bundle, host, plugins, monkeypatch, tmp_path):  # noqa: F811
    calls = []

    def fake(graph, library, target, options, **more):
        if graph.stem == "model":
            calls.append(options.largest)
        return Engine(b"a plan", 9, 3)

    monkeypatch.setattr(parts, "build_engine", fake)
    use_builder(monkeypatch)
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path / "cache"))
    for size in ("1920x1080", "1920x1080", "2000x1080"):
        run = spair("build", bundle, "--target", host, "--library", plugins.path, "--max-size", size, "--json")
        assert (run.code, run.json["engines"][0]["layers"]) == (0, 9), run.err
    assert calls == [(1920, 1080), (2000, 1080)]
    spair("build", bundle, "--target", host, "--library", plugins.path, "--no-cache")
    assert calls[2:] == [(1920, 1080)]


def test_a_rebuild_without_engines_leaves_no_stale_one(spair, bundle, host, monkeypatch):
    files = {
        f"engines/{host}/fp32.engine": b"old",
        f"plugins/{host}/old.txt": b"old",
        "engines/l4/fp32.engine": b"other",
    }
    from spair.runtime.bundle.writer import extend_bundle

    extend_bundle(Bundle.open(bundle), {"targets": {host: {}, "l4": {}}}, files)
    assert spair("build", bundle, "--target", host, "--no-engines").code == 0
    names = set(snapshot(bundle))
    assert not names & {f"engines/{host}/fp32.engine", f"plugins/{host}/old.txt"}
    assert "engines/l4/fp32.engine" in names
    assert list(Bundle.open(bundle).manifest.targets) == [host, "l4"]


@pytest.mark.parametrize("target", ["l4", "blackwell"])
def test_for_tensorrt_the_command_that_builds_on_the_target_is_told(spair, bundle, host, plugins, monkeypatch, target):  # noqa: F811
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    run = spair("build", bundle, "--target", target, "--library", plugins.path, "--batch", "2", "--json")
    assert run.code == 0, run.err
    report = run.json
    assert report["engines"] == []
    assert report["notes"] == [
        f"engines for {target} are built by the package tensorrt, which is not installed; "
        "it is part of JetPack and of NVIDIA's packages"
    ]
    build, command, load = report["on_target"]
    assert shlex.split(build)[:5] == ["spair", "build", str(bundle), "--target", target]
    assert shlex.split(build)[5:7] == ["--library", report["library"]], "which brings the other library along"
    assert load.startswith("trtexec --loadEngine=fp32.engine ")
    assert command.startswith("trtexec --onnx=")
    words = dict(word.removeprefix("--").partition("=")[::2] for word in command.split()[1:])
    assert Path(words["dynamicPlugins"]) == Path(report["library"]) and "staticPlugins" not in words
    assert words["maxShapes"] == "image:2x1080x1920x3"
    model = onnx.load(words["onnx"])
    assert sum(node.domain == "spair" for node in model.graph.node) == sum(report["operators"].values()) + ADDED
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert not model.functions, "without a plugin the bodies would become a dense engine"


def test_the_served_engine_is_listed_with_its_key(spair, bundle, host, plugins, monkeypatch, tmp_path):  # noqa: F811
    monkeypatch.setattr(parts, "build_engine", lambda graph, *given, **more: Engine(graph.stem.encode(), 9, 3))
    use_builder(monkeypatch)
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path / "cache"))
    run = spair("build", bundle, "--target", host, "--library", plugins.path, "--served", "--batch", "4", "--json")
    assert run.code == 0, run.err
    assert set(run.json["engines"][0]["parts"]) == {"net_l", "net_r", "served"}
    opened = Bundle.open(bundle)
    files = opened.manifest.targets[host]["engines"]["fp32"]["parts"]["served"]
    assert files == {"engine": f"engines/{host}/fp32.served.engine", "key": f"engines/{host}/fp32.served.json"}
    key = read_key(opened.file(files["key"]).read_text(), "key")
    assert (key.part, key.graph) == ("served", opened.manifest.files["graphs/fp32/model.onnx"])
    assert opened.file(files["engine"]).read_bytes() == b"served"
    fitting = Host("tensorrt_rtx", "0.0.test", "x86_64", 89)
    assert find_engine(opened, host, "fp32", fitting, "served").plan == bundle / files["engine"]


def test_the_served_engine_is_left_to_the_target_with_commands(spair, bundle, plugins, host, monkeypatch):  # noqa: F811
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    run = spair("build", bundle, "--target", "l4", "--library", plugins.path, "--served", "--batch", "4", "--json")
    assert run.code == 0, run.err
    build, _, _, command, load = run.json["on_target"]
    assert shlex.split(build)[-1] == "--served"
    words = dict(word.removeprefix("--").partition("=")[::2] for word in command.split()[1:])
    assert words["maxShapes"] == "image:4x3x1080x1920" and words["saveEngine"] == "fp32.served.engine"
    assert load.startswith("trtexec --loadEngine=fp32.served.engine ") and load.endswith("image:1x3x720x1280")
    outputs = [value.name for value in onnx.load(words["onnx"]).graph.output]
    assert outputs == ["restored", "mask", "density"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--target", "l4", "--served", "--no-engines"], "--served asks for an engine and --no-engines for none"),
        (["--target", "tpu"], "there is no target 'tpu': the targets are jetson-orin-jp6,"),
        (["--target", "l4", "--precision", "fp64"], r"has no fp64 graphs \(it has: fp32\)"),
        (
            ["--target", "l4", "--max-size", "huge"],
            "the size 'huge' is not WIDTHxHEIGHT in pixels; give for example --max-size 1920x1080",
        ),
        (["--target", "l4", "--max-size", "64x64"], "the usual size 1280x720 must lie within the largest size 64x64"),
        (["--target", "l4", "--library", "absent.so"], r"cannot read the plugin library absent\.so: No such file"),
    ],
)
def test_bad_input_is_one_sentence_and_changes_nothing(spair, bundle, options, words):
    before = snapshot(bundle)
    spair("build", bundle, *options).refused(words)
    assert snapshot(bundle) == before


def test_a_bundle_without_our_operators_is_refused(spair, bundle, edit_manifest):
    edit_manifest(lambda manifest: manifest.update(operators={}))
    words = "has no nodes of domain spair, so there is nothing for the plugins to do"
    spair("build", bundle, "--target", "l4").refused(words)


def test_a_bundle_of_an_older_version_is_refused_before_the_compiling(spair, bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(engine_bundle, "build_plugins", lambda *given, **more: pytest.fail("compiled"))
    older = make_older(Bundle.open(bundle), tmp_path / "older.spair").path
    spair("build", older, "--target", "l4").refused("was exported by an older version, .*; export the bundle again")


def test_a_library_for_other_gpus_is_refused(spair, bundle, plugins):  # noqa: F811
    words = r"has no kernels for sm_86 of rtx: it was built for host \(sm_89; PTX for later ones than sm_89\)"
    spair("build", bundle, "--target", "rtx", "--library", plugins.path, "--no-engines").refused(words)


def test_a_builder_that_is_missing_is_told_before_the_compiling(spair, bundle, monkeypatch):
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(engine_bundle, "build_plugins", lambda *given, **more: pytest.fail("compiled"))
    spair("build", bundle, "--target", "rtx").refused(r"which is not installed; pip install 'spair-rt\[rtx\]'")


def test_missing_tools_are_told_before_the_compiling(spair, bundle, monkeypatch):
    monkeypatch.setattr(plugin_build, "compile_target", lambda *given, **more: pytest.fail("compiled"))
    which = shutil.which
    for missing, words in (
        ("aarch64-linux-gnu-g++", r"needs the compiler aarch64-linux-gnu-g\+\+, .*apt-get install g\+\+-aarch64"),
        ("readelf", "readelf, which is not installed; apt-get install binutils"),
    ):
        monkeypatch.setattr(shutil, "which", lambda name, missing=missing: None if name == missing else which("true"))
        spair("build", bundle, "--target", "jetson-orin-jp6").refused(words)
    monkeypatch.setattr(shutil, "which", lambda name: which("true"))
    monkeypatch.setenv("TENSORRT_INCLUDE_DIR", str(bundle))
    spair("build", bundle, "--target", "l4").refused("TENSORRT_INCLUDE_DIR is .*, which has no NvInferRuntime.h")


def test_a_place_that_cannot_be_written_is_told_before_the_compiling(spair, bundle, monkeypatch):
    monkeypatch.setattr(engine_bundle, "build_plugins", lambda *given, **more: pytest.fail("compiled"))
    (bundle / "notes.txt").write_text("mine")
    spair("build", bundle, "--target", "l4").refused(r"notes\.txt in it is not part of a bundle and would be lost")
    (bundle / "notes.txt").unlink()

    def refuse(place):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(writer, "place_beside", refuse)
    words = "cannot write beside the bundle .*: Read-only file system; copy it to a folder that can be written"
    spair("build", bundle, "--target", "l4").refused(words)


def test_a_damaged_graph_is_told_before_the_compiling(spair, bundle, monkeypatch):
    monkeypatch.setattr(engine_bundle, "build_plugins", lambda *given, **more: pytest.fail("compiled"))
    with (bundle / "graphs/fp32/model.onnx").open("ab") as stream:
        stream.write(b"x")
    spair("build", bundle, "--target", "l4").refused("model.onnx was changed: its SHA-256 is")


KILLED = """
import importlib, os, signal, sys
from spair.cli.main import main
from spair.plugins.compiler import targets
from tests.plugins.conftest import HOST_TARGET

targets.TARGETS = (*targets.TARGETS, HOST_TARGET)
module, name = sys.argv.pop(1).split(":")
setattr(importlib.import_module(module), name, lambda *given, **more: os.kill(os.getpid(), signal.SIGKILL))
main()
"""


@pytest.mark.parametrize("moment", ["sha256", "replace_folder"])
def test_a_build_that_is_killed_leaves_the_bundle_and_the_next_one_works(spair, bundle, host, plugins, moment):  # noqa: F811
    before = snapshot(bundle)
    words = ["build", str(bundle), "--target", host, "--no-engines"]
    command = [sys.executable, "-c", KILLED, f"spair.runtime.bundle.writer:{moment}", *words]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert snapshot(bundle) == before
    run = spair(*words, "--json")
    assert run.code == 0, run.err
    assert read_label(Path(run.json["library"])) == read_label(plugins.path)


@pytest.mark.parametrize("error", [GateError("a layer changed"), RuleError("the kernel spills")])
def test_a_broken_rule_fails_and_leaves_the_bundle_as_it_was(spair, bundle, host, monkeypatch, error):
    def fail(*given, **more):
        raise error

    engine = isinstance(error, GateError)
    monkeypatch.setattr(parts if engine else engine_bundle, "build_engine" if engine else "build_plugins", fail)
    use_builder(monkeypatch)
    before = snapshot(bundle)
    run = spair("build", bundle, "--target", host, "--max-size", "1921x1080")
    run.refused(f"^error: {error}$", code=1)
    assert snapshot(bundle) == before
    assert [path.name for path in bundle.parent.iterdir() if path.name.startswith(".")] == []


def test_the_table_shows_ranges():
    assert build_module._range([3, 1, 2]) == "1–3"
    assert build_module._range([2, 2]) == "2"
