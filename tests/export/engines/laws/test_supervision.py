"""Builds under supervision: what goes wrong in the child is one sentence, what goes on in it is told."""

from __future__ import annotations

import re

import onnx
import pytest

from spair.export.engines import builder as engine_module
from spair.export.engines.builder import Supervision, advise_memory, build_engine
from spair.runtime.errors import UserError
from tests.export.engines.test_builder import SMALL, make_graph, rtx  # noqa: F401


def replace_worker(monkeypatch, tmp_path, code: str) -> None:
    """Put another script in the place of the one that builds."""
    worker = tmp_path / "worker.py"
    worker.write_text(code)
    monkeypatch.setattr(engine_module, "_WORKER", worker)
    monkeypatch.setattr(engine_module, "builder_of", lambda target: ("tensorrt_rtx", "1"))


def test_a_builder_that_ends_its_process_is_told(plugins, tmp_path, monkeypatch):
    code = "import os, sys\nsys.stderr.write('terminate called')\nsys.stderr.flush()\nos.abort()\n"
    replace_worker(monkeypatch, tmp_path, code)
    words = r"tensorrt_rtx builds no engine from .*: its process was ended by SIGABRT \(.*terminate called"
    with pytest.raises(UserError, match=words):
        build_engine(make_graph(tmp_path / "g.onnx"), plugins.path, plugins.target, SMALL)


def test_a_builder_that_is_killed_for_memory_is_told_with_what_helps(plugins, tmp_path, monkeypatch):
    replace_worker(monkeypatch, tmp_path, "import os\nos.kill(os.getpid(), 9)\n")
    words = (
        r"its process was ended by SIGKILL, as the system does when memory runs out, whose layers could use 2\.0 GiB; "
        r"give less to them \(--workspace MIB\), take a smaller --max-size, .*nothing was changed$"
    )
    with pytest.raises(UserError, match=words):
        build_engine(
            make_graph(tmp_path / "g.onnx"),
            plugins.path,
            plugins.target,
            SMALL,
            supervision=Supervision(memory=2 << 30),
        )


@pytest.mark.parametrize(
    ("error", "limit", "words"),
    [
        ("Error Code 2: OutOfMemory (Requested size was 4 bytes)", None, "; give less to them (--workspace MIB)"),
        ("the system ended its process because memory ran out", 1 << 29, ", whose layers could use 0.5 GiB; give less"),
        ("its process was ended by SIGSEGV", 1 << 30, ""),
    ],
)
def test_memory_is_advised_on_where_it_was_the_reason(error, limit, words):
    advice = advise_memory(error, limit)
    assert advice.startswith(words) if words else advice == ""


def test_a_builder_that_takes_too_long_is_stopped(plugins, tmp_path, monkeypatch):
    replace_worker(monkeypatch, tmp_path, "import time\ntime.sleep(600)\n")
    with pytest.raises(UserError, match=r"its process was stopped after 0\.5 seconds"):
        build_engine(
            make_graph(tmp_path / "g.onnx"),
            plugins.path,
            plugins.target,
            SMALL,
            supervision=Supervision(timeout=0.5),
        )


@pytest.mark.usefixtures("rtx")
def test_phases_of_the_builder_are_told_from_the_child(plugins, tmp_path):
    told: list[str] = []
    graph = make_graph(tmp_path / "g.onnx")
    build_engine(graph, plugins.path, plugins.target, SMALL, supervision=Supervision(told.append))
    assert len(told) > 3
    assert all(re.fullmatch(r"tensorrt_rtx: [\w ]+, \d{1,3} %", words) for words in told), told
    shares = [int(words.split()[-2]) for words in told]
    assert shares[0] == 0 and max(shares) > 50


@pytest.mark.usefixtures("rtx")
def test_a_layer_comparison_that_the_parser_cannot_make_is_a_note(plugins, tmp_path):
    model = onnx.load(make_graph(tmp_path / "g.onnx"))
    (body,) = (function for function in model.functions if function.name == "SparseNonLocal")
    body.node[0].op_type = "NoSuchOperator"  # nobody reads it where the plugin is
    onnx.save(model, tmp_path / "g.onnx")
    engine = build_engine(tmp_path / "g.onnx", plugins.path, plugins.target, SMALL)
    assert engine.plugin_layers == 3
    (note,) = engine.notes
    assert note.startswith("the layers beside the plugins were not compared: without plugins the parser says ")
    with pytest.raises(UserError, match="builds no engine"):
        build_engine(tmp_path / "g.onnx", None, plugins.target, SMALL)


@pytest.mark.usefixtures("rtx")
def test_tensors_are_kept_as_outputs(plugins, tmp_path):
    graph = make_graph(tmp_path / "g.onnx")
    engine = build_engine(graph, plugins.path, plugins.target, SMALL, outputs=["f", "s"])
    plain = build_engine(graph, plugins.path, plugins.target, SMALL)
    assert engine.plan != plain.plan
    with pytest.raises(UserError, match="the parsed network has no tensor absent, which was to be kept as an output"):
        build_engine(graph, plugins.path, plugins.target, SMALL, outputs=["absent"])


@pytest.mark.usefixtures("rtx")
def test_what_the_bindings_raise_becomes_a_sentence(plugins, tmp_path):
    profile = {"image": [["one", 3, 8, 8]] * 3}
    with pytest.raises(UserError, match=r"builds no engine from .*g\.onnx: TypeError: ") as caught:
        build_engine(make_graph(tmp_path / "g.onnx"), plugins.path, plugins.target, SMALL, profile=profile)
    assert "\n" not in str(caught.value) and "Traceback" not in str(caught.value)
