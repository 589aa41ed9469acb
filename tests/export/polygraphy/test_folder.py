"""The folder for Polygraphy: what is in it, and where none is written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from spair.calibration.conversion.convert import ConvertPrecision
from spair.calibration.conversion.plan import PrecisionPlan
from spair.calibration.variants import Variant
from spair.export.polygraphy import thresholds
from spair.export.polygraphy.folder import write_polygraphy
from spair.runtime.bundle.reader import Bundle
from spair.runtime.bundle.writer import extend_bundle
from spair.runtime.errors import UserError
from tests.export.polygraphy.conftest import AUTOLOAD, LIBRARY, PLAN, add_engine


def list_files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_it_has_all_that_the_report_lists_and_the_bundles_own_code(built, tmp_path):
    report = write_polygraphy(built, tmp_path / "out")
    out = tmp_path / "out"
    assert list_files(out) == report["files"] == [
        "README.md",
        "commands-l4.txt",
        "engines/l4/fp32.engine",
        "graphs/fp32.layers.onnx",
        "graphs/fp32.onnx",
        "graphs/fp32.plugins.onnx",
        "inputs.json",
        "inputs.npz",
        "loader.py",
        "plugins/l4/libspair_plugins.so",
        "plugins/l4/libspair_plugins_autoload.so",
        "small.json",
    ]  # fmt: skip
    assert (out / "engines/l4/fp32.engine").read_bytes() == PLAN
    assert (out / "plugins/l4/libspair_plugins.so").read_bytes() == LIBRARY
    assert (out / "plugins/l4/libspair_plugins_autoload.so").read_bytes() == AUTOLOAD
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []


def test_its_page_shows_pictures_and_thresholds(built, tmp_path):
    report = write_polygraphy(built, tmp_path / "out")
    page = (tmp_path / "out" / "README.md").read_text()
    for picture in report["pictures"]:
        assert 0 < picture["masked"] < 0.9
        assert f"| {picture['width']}x{picture['height']} | {picture['masked']:.1%} |" in page
    assert {(picture["width"], picture["height"]) for picture in report["pictures"]} == {(192, 144), (192, 125)}
    assert f"| fp32 | {report['thresholds']['fp32']['restored']:.1f} dB |" in page
    assert "{" not in page.replace("{image}", "")


def test_every_target_has_its_engines_and_commands(built, tmp_path):
    add_engine(built, target="hopper", library=b"other")
    report = write_polygraphy(built, tmp_path / "out")
    assert {"commands-l4.txt", "commands-hopper.txt", "engines/hopper/fp32.engine"} <= set(report["files"])
    assert (tmp_path / "out/plugins/hopper/libspair_plugins.so").read_bytes() == b"other"
    assert "engines/l4" not in (tmp_path / "out/commands-hopper.txt").read_text()


def test_an_empty_folder_is_filled(built, tmp_path):
    (tmp_path / "out").mkdir()
    assert write_polygraphy(built, tmp_path / "out")["files"] == list_files(tmp_path / "out")


def test_a_folder_with_a_file_is_refused(built, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("1")
    with pytest.raises(
        UserError, match=r"cannot write into .*out: the folder is not empty; choose another --polygraphy"
    ):
        write_polygraphy(built, tmp_path / "out")
    assert list_files(tmp_path / "out") == ["mine"]


def test_a_file_or_link_of_its_name_is_refused(built, tmp_path):
    (tmp_path / "out").write_text("1")
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("out", "link"):
        with pytest.raises(UserError, match="a file or link of that name exists"):
            write_polygraphy(built, tmp_path / name)
    assert (tmp_path / "out").read_text() == "1"


def test_a_place_below_a_file_is_refused(built, tmp_path):
    (tmp_path / "file").write_text("1")
    with pytest.raises(UserError, match=r"cannot write .*out: Not a directory; choose another --polygraphy"):
        write_polygraphy(built, tmp_path / "file" / "out")


def test_a_network_that_restores_nothing_is_refused_and_nothing_is_written(built, tmp_path, monkeypatch):
    restore = thresholds.ReferenceNetwork.restore

    def find_nothing(self, picture, noise=0.0):
        image, mask = restore(self, picture, noise)
        return image, mask & False

    monkeypatch.setattr(thresholds.ReferenceNetwork, "restore", find_nothing)
    with pytest.raises(UserError, match="restores no pixel of the pictures for Polygraphy"):
        write_polygraphy(built, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_changed_engine_is_refused(built, tmp_path):
    (built / "engines/l4/fp32.engine").write_bytes(b"evil")
    with pytest.raises(UserError, match=r"fp32\.engine was changed: its SHA-256"):
        write_polygraphy(built, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_it_needs_nothing_of_the_bundle_afterwards(built, tmp_path):
    write_polygraphy(built, tmp_path / "out")
    shutil.rmtree(built)
    assert json.loads((tmp_path / "out" / "inputs.json").read_text())
    text = "".join((tmp_path / "out" / name).read_text() for name in ("commands-l4.txt", "loader.py"))
    assert str(tmp_path) not in text and "import spair" not in text


def add_precision(bundle: Path, precision: str) -> None:
    """Add the whole network in another precision, with ranges that were not measured."""
    opened = Bundle.open(bundle)
    network = Variant(opened, threads=1)
    layers = {layer.name: precision for layer in network.layers}
    scales = {use.key: 0.03125 for layer in network.layers for use in layer.uses}
    model = network.models["model"]
    ConvertPrecision(PrecisionPlan(layers, "fp16", scales), "model")(model)
    name = f"graphs/{precision}/model.onnx"
    extend_bundle(opened, {"graphs": {precision: {"model": name}}}, {name: model.SerializeToString()})


def test_every_precision_has_its_own_graphs_lines_and_thresholds(plain, tmp_path):
    for precision in ("fp16", "int8"):
        add_precision(plain, precision)
        add_engine(plain, precision=precision)
    report = write_polygraphy(plain, tmp_path / "out")
    assert {f"graphs/{name}.onnx" for name in ("fp16", "int8.plugins", "fp16.layers")} <= set(report["files"])
    assert not [name for name in report["files"] if "fp32" in name], "no engine is in FP32"
    found = report["thresholds"]
    assert list(found) == ["fp16", "int8"]
    assert found["int8"]["natural"] < found["fp16"]["natural"] - 3, "INT8 is coarser"
    assert 30 - 20 * np.log10(255 / 128) <= found["int8"]["restored"] < found["fp16"]["restored"]
    lines = [line for line in (tmp_path / "out/commands-l4.txt").read_text().splitlines() if "--psnr" in line]
    for precision, values in found.items():
        own = [line for line in lines if f"{precision}.onnxrt.json" in line]
        assert len(own) == 2
        assert all(f"--psnr-threshold restored:{values['restored']} mask:{values['mask']} " in line for line in own)
