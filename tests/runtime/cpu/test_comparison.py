"""A program that differs from its graphs is refused, and the layer is named."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from spair.export.passes.halves import WidenHalves
from spair.runtime import Restorer
from spair.runtime.bundle.reader import DERIVED_FROM, Bundle
from spair.runtime.cpu import comparison
from spair.runtime.cpu.comparison import TOLERANCES, Comparison, is_close
from spair.runtime.cpu.localization import Localizer
from spair.runtime.cpu.opening import list_facts
from spair.runtime.cpu.program import read_program
from spair.runtime.cpu.restoration import RowRestorer
from spair.runtime.errors import UserError
from spair.runtime.files import sha256


@pytest.fixture
def changed(tiny_bundle, tmp_path, compiler):
    """Function that changes the program of a copy of the bundle, hashes included, and opens it."""
    copy = tmp_path / "copy.spair"
    shutil.copytree(tiny_bundle, copy)
    paths = {what: copy / name for what, name in Bundle.open(copy).manifest.rows["fp32"].items()}

    def change(steps=lambda raw: None, arrays=lambda table: None):
        program = read_program(paths["program"], paths["arrays"])
        arrays(program.arrays)
        text, data = program.to_files()
        raw = json.loads(text)
        steps({step["name"]: step for stage in ("net_l", "net_r") for step in raw[stage] if "name" in step})
        paths["program"].write_text(json.dumps(raw))
        paths["arrays"].write_bytes(data)
        manifest = json.loads((copy / "manifest.json").read_text())
        for what, name in manifest["rows"]["fp32"].items():
            manifest["files"][name] = sha256(paths[what])
        (copy / "manifest.json").write_text(json.dumps(manifest))
        return Restorer.open(copy, backend="cpu", threads=1)

    return change


def test_a_program_that_was_not_changed_opens(changed):
    changed().close()


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "layer",
    [
        *("net_l.stem", "net_l.bottom.1.second", "net_l.up_half", "net_l.head"),
        *("net_r.fuse.1", "net_r.snl.query", "net_r.scm.2.pairs.1.second", "net_r.up_full", "net_r.lateral_half"),
    ],
)
@pytest.mark.parametrize("what", ["weight", "bias"])
def test_the_layer_of_a_changed_weight_is_named(changed, layer, what):
    def change(arrays):
        arrays[f"model.{layer}.{what}"] *= np.float32(1.01) if what == "weight" else np.float32(1.2)

    with pytest.raises(UserError, match=rf"differs from .*net_[lr].onnx in the layer {layer}; export the bundle again"):
        changed(arrays=change)


def test_the_layer_of_changed_keys_is_named(changed):
    def change(arrays):
        arrays["model.net_r.snl.key.weight"] *= -1

    with pytest.raises(UserError, match=r"in the layer net_r.snl;"):
        changed(arrays=change)


@pytest.mark.parametrize(
    ("layer", "field", "value"),
    [
        ("net_r.scm.1.pairs.0.first", "slope", 0.5),
        ("net_r.lateral_full", "relu", False),
        ("net_r.fuse.2", "modulated", False),
        ("net_l.encode_half.second", "relu", False),
        ("net_l.encode_quarter.second", "add", "relu_4"),
    ],
)
def test_the_layer_of_a_changed_step_is_named(changed, layer, field, value):
    with pytest.raises(UserError, match=rf"in the layer {layer};"):
        changed(steps=lambda named: named[layer].update({field: value}))


def test_another_threshold_is_noticed(changed):
    with pytest.raises(UserError, match=r"in the layer net_l.head;"):
        changed(steps=lambda named: named["net_l.head"].update(threshold=named["net_l.head"]["threshold"] + 0.1))


def test_steps_that_do_not_fit_together_are_refused(changed):
    with pytest.raises(UserError, match="does not fit together"):
        changed(steps=lambda named: named["net_r.scm.0.pairs.0.first"].update(x="nothing"))


def test_a_layer_of_other_channels_is_refused(changed):
    def change(arrays):
        arrays["model.net_l.to_quarter.weight"] = arrays["model.net_l.to_quarter.weight"][:, :8]

    with pytest.raises(
        UserError, match=r"the layer net_l.to_quarter has weights \(32, 8, 3, 3\) and reads 24 channels"
    ):
        changed(arrays=change)


@pytest.mark.parametrize(
    ("layer", "side", "words"),
    [
        ("net_r.scm.1.pairs.0.first", 5, r"\(64, 64, 5, 5\), expected a kernel of 1x1 or 3x3"),
        ("net_r.fuse.0", 1, r"\(48, 11, 1, 1\), expected a kernel of 3x3"),
    ],
)
def test_a_kernel_without_a_form_on_rows_is_refused_by_the_name_of_its_layer(changed, layer, side, words):
    def change(arrays):
        name = f"model.{layer}.weight"
        arrays[name] = np.resize(arrays[name], (*arrays[name].shape[:2], side, side))

    with pytest.raises(UserError, match=rf"the layer {layer} has weights {words}; export the bundle again"):
        changed(arrays=change)


@pytest.mark.parametrize(
    ("value", "close"), [(1.0, True), (1.0 + 1e-5, True), (1.0 + 1e-4, False), (np.nan, False), (np.inf, False)]
)
def test_closeness(value, close):
    assert is_close(np.array([value, 0.5]), np.array([1.0, 0.5]), 1e-5) is close


def test_shapes_differ():
    assert not is_close(np.zeros(3), np.zeros(4), 1.0)


def open_program(bundle, library, precision, stored):
    files = Bundle.open(bundle).manifest.rows[stored]
    program = read_program(*(Path(bundle) / files[what] for what in ("program", "arrays")))
    halves = precision in DERIVED_FROM
    return program, Localizer(library, program, halves=halves), RowRestorer(library, program, halves=halves)


@pytest.mark.sampled(3)
def test_layers_of_int8_have_the_integers_of_the_calibrated_graph(int8_bundle, library, pool, tmp_path):
    """Layers of float32 in a mixed graph differ by its rounding alone."""
    bundle = Bundle.open(int8_bundle)
    paths = {}
    for part in ("net_l", "net_r"):
        model = onnx.load(bundle.graph("int8", part))
        WidenHalves()(model)
        paths[part] = tmp_path / f"{part}.onnx"
        onnx.save(model, paths[part])
    program, localizer, restorer = open_program(int8_bundle, library, "int8", "int8")
    assert sum(bool(getattr(step, "step", 0)) for step in (*program.net_l, *program.net_r)) > 30
    assert sum(not getattr(step, "step", 1) for step in (*program.net_l, *program.net_r)) > 3
    compared = Comparison(bundle.manifest.network, localizer, restorer, pool, "int8")
    compared._tolerance = TOLERANCES["fp32"]
    compared.check(paths["net_l"], paths["net_r"])


@pytest.mark.sampled(8)
@pytest.mark.parametrize(("precision", "stored"), [("int8", "int8"), ("bf16", "fp32"), ("int8-bf16", "int8")])
@pytest.mark.parametrize(
    "name", ["net_l.bottom.0.first", "net_r.scm.0.pairs.0.second", "net_r.fuse.2", "net_r.snl.out"]
)
def test_a_changed_layer_of_a_lower_precision_is_named(int8_bundle, library, pool, precision, stored, name):
    bundle, (program, *_) = Bundle.open(int8_bundle), open_program(int8_bundle, library, precision, stored)
    step = next(step for step in (*program.net_l, *program.net_r) if getattr(step, "name", "") == name)
    program.arrays[step.weight][:] = np.roll(program.arrays[step.weight], 1, axis=1)
    halves = precision in DERIVED_FROM
    parts = Localizer(library, program, halves=halves), RowRestorer(library, program, halves=halves)
    graphs = [bundle.graph(stored, part) for part in ("net_l", "net_r")]
    with pytest.raises(UserError, match=f"in the layer {name};"):
        Comparison(bundle.manifest.network, *parts, pool, precision).check(*graphs)


@pytest.fixture
def counted(monkeypatch, tmp_path):
    """Comparisons that were made, in an empty cache of comparisons."""
    made, check = [], Comparison.check
    monkeypatch.setattr(comparison, "cache_file", lambda kind, facts: tmp_path / kind)
    monkeypatch.setattr(Comparison, "check", lambda self, *graphs: made.append(graphs) or check(self, *graphs))
    return made


def test_openings_of_equal_files_compare_once(tiny_bundle, compiler, counted):
    for _ in range(2):
        Restorer.open(tiny_bundle, backend="cpu", threads=1).close()
    assert len(counted) == 1


@pytest.mark.parametrize("what", ["graph", "rows", "precision", "kernels"])
def test_other_files_kernels_or_precisions_are_other_facts(tiny_bundle, library, tmp_path, what):
    copy, precision = shutil.copytree(tiny_bundle, tmp_path / "copy.spair"), "fp32"
    before = list_facts(Bundle.open(copy), precision, library)
    manifest = json.loads((copy / "manifest.json").read_text())
    if what in ("graph", "rows"):
        names = manifest["graphs" if what == "graph" else "rows"]["fp32"]
        manifest["files"][names["net_r" if what == "graph" else "arrays"]] = 64 * "0"
        (copy / "manifest.json").write_text(json.dumps(manifest))
    elif what == "kernels":
        kernels = shutil.copy(library.path, tmp_path / "kernels.so")
        library = SimpleNamespace(path=Path(kernels), instructions=library.instructions)
    else:
        precision = "bf16"
    assert list_facts(Bundle.open(copy), precision, library) != before


def test_what_differs_is_compared_again(tiny_bundle, compiler, counted, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(UserError, match="the row program differs from"):
        patch.setattr(comparison, "is_close", lambda *_: False)
        Restorer.open(tiny_bundle, backend="cpu", threads=1)
    Restorer.open(tiny_bundle, backend="cpu", threads=1).close()
    assert len(counted) == 2


def test_what_was_not_compared_is_not_noted(tiny_bundle, compiler, counted, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(comparison, "is_installed", lambda: False)
        Restorer.open(tiny_bundle, backend="cpu", threads=1).close()
    Restorer.open(tiny_bundle, backend="cpu", threads=1).close()
    assert len(counted) == 2


@pytest.mark.parametrize("reason", ["no home", "no folder"])
def test_without_a_cache_every_opening_compares(tiny_bundle, compiler, counted, monkeypatch, tmp_path, reason):
    def find(kind, facts):
        if reason == "no home":
            raise UserError("cannot find the cache folder")
        (tmp_path / "file").touch()
        return tmp_path / "file" / "below"

    monkeypatch.setattr(comparison, "cache_file", find)
    for _ in range(2):
        Restorer.open(tiny_bundle, backend="cpu", threads=1).close()
    assert len(counted) == 2
