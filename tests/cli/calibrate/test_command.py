"""`spair calibrate`: its JSON, its page, its sentences; the work itself is tested in tests/calibration."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from spair.cli.calibrate.page import render_report
from spair.runtime import Bundle, Restorer, read_image
from spair.runtime.bundle.writer import write_bundle
from spair.runtime.images import Picture, write_image
from spair.runtime.opening import name_part


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Five gradients with noise that differs from one to the next, and clean ones."""
    random = np.random.default_rng(0)
    for role in ("input", "target"):
        (tmp_path / role).mkdir()
    for index in range(5):
        ramp = np.linspace(30, 200, 60)[None, :, None] * np.linspace(0.5, 1.0, 44)[:, None, None] + np.zeros(3)
        noisy = ramp + 12 * index * random.standard_normal(ramp.shape)
        for role, pixels in (("input", noisy), ("target", ramp)):
            write_image(tmp_path / role / f"{index}.png", Picture(np.clip(pixels, 0, 255).astype(np.uint8)))
    return tmp_path


@pytest.fixture
def foreign_bundle(tmp_path: Path) -> Path:
    """Somebody else's network of two layers, one of them used twice, as `spair export` would have written it."""
    random = np.random.default_rng(1)
    weights = {
        "first.weight": random.normal(0, 0.2, (8, 3, 3, 3)),
        "second.weight": random.normal(0, 0.05, (8, 8, 3, 3)),
        "last.weight": random.normal(0, 0.05, (3, 8, 1, 1)),
        "low": np.zeros(()),
        "high": np.ones(()),
    }
    nodes = [
        helper.make_node("Conv", ["image", "first.weight"], ["a"], pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "second.weight"], ["c"], pads=[1] * 4),
        helper.make_node("Tanh", ["c"], ["d"]),
        helper.make_node("Conv", ["d", "second.weight"], ["e"], pads=[1] * 4),
        helper.make_node("Conv", ["e", "last.weight"], ["f"]),
        helper.make_node("Add", ["image", "f"], ["g"]),
        helper.make_node("Clip", ["g", "low", "high"], ["restored"]),
    ]
    shape = ["batch", 3, "height", "width"]
    graph = helper.make_graph(
        nodes,
        "their network",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("restored", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    fields = {
        "kind": "foreign", "name": "their", "network": {"multiple": 1, "halo": 3}, "parity": {"passed": True},
        "inputs": [{"name": "image", "channels": 3}], "outputs": ["restored"],
        "graphs": {"fp32": {"model": "graphs/fp32/model.onnx"}},
    }  # fmt: skip
    return write_bundle(tmp_path / "their.spair", fields, {"graphs/fp32/model.onnx": model.SerializeToString()}).path


@pytest.fixture
def arguments(foreign_bundle: Path, photos: Path) -> list[object]:
    return ["calibrate", foreign_bundle, "--images", photos / "input", "--tile", 32, "--tiles", 3, "--threads", 1]


def test_the_json_is_that_of_the_design(spair, arguments, foreign_bundle, photos):
    report = spair(*arguments, "--precision", "int8", "--clean", photos / "target", "--json").json
    for key in ("precision", "psnr_delta_db", "images", "layers", "kept_fp32", "kept_fp16", "file_ratio", "passed"):
        assert key in report
    assert (report["precision"], report["images"], report["passed"], report["gate_db"]) == ("int8", 5, True, -0.25)
    assert [(row["layer"], len(row["scales"])) for row in report["table"]] == [("first", 1), ("second", 2), ("last", 1)]
    assert Bundle.open(foreign_bundle).precisions == ("fp32", "int8")


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_other_peoples_networks_restore_in_every_precision(spair, arguments, foreign_bundle, photos, precision):
    run = spair(*arguments, "--precision", precision)
    assert run.code == 0, run.err
    assert "gate       passed" in run.out and "distance to the fp32 output" in run.out
    image = read_image(photos / "input" / "2.png").pixels
    with Restorer.open(foreign_bundle) as exact, Restorer.open(foreign_bundle, precision=precision) as lower:
        difference = np.abs(exact(image).image.astype(int) - lower(image).image)
    assert 0 <= difference.mean() < 1 and difference.max() <= 4


def test_the_page_is_whole_and_escaped(spair, arguments, photos, tmp_path):
    page = tmp_path / "page.html"
    report = spair(*arguments, "--precision", "int8", "--html", page, "--json").json
    text = page.read_text()
    assert report["html"] == str(page) and "<svg" in text and "src=" not in text and "$" not in text
    evil = json.loads(json.dumps(report).replace("second", "<script>&"))
    assert "<script>" not in render_report(evil) and "&lt;script&gt;&amp;" in render_report(evil)


def test_a_missed_gate_is_a_failed_command(spair, arguments, foreign_bundle):
    before = {file: file.read_bytes() for file in foreign_bundle.rglob("*.*")}
    spair(*arguments, "--precision", "fp16", "--max-loss", "1e-7", "--assumed-psnr", 90).refused(
        r"no layer of .* can be fp16 within .* 1e-07 dB .* nothing was written; allow more with --max-loss",
        1,
    )
    assert before == {file: file.read_bytes() for file in foreign_bundle.rglob("*.*")}


@pytest.mark.parametrize(
    ("more", "match"),
    [
        (["--precision", "fp16", "--quantize", "weights"], "quantize is 'weights' with fp16"),
        (["--precision", "int8", "--tile", "4"], "the tile has a side of 4 pixels"),
        (["--precision", "int8", "--html", "/nowhere/page.html"], "there is no folder /nowhere"),
        (["--precision", "int8", "--tile", "50"], "has 60x44 pixels, expected at least a tile of 50x50"),
    ],
)
def test_bad_input_is_one_sentence(spair, arguments, more, match):
    spair(*arguments[:4], "--threads", 1, *more).refused(match)


def test_what_is_no_bundle_is_refused(spair, photos, tmp_path):
    spair("calibrate", tmp_path, "--images", photos / "input", "--precision", "int8").refused("has no manifest.json")


def test_what_export_wrote_calibrates(spair, foreign, photos, tmp_path):
    path = tmp_path / "exported.spair"
    assert spair("export", foreign.checkpoint, "--factory", foreign.factory, "--picture", 0, "--out", path).code == 0
    report = spair("calibrate", path, "--images", photos / "input", "--precision", "int8", "--tile", 32, "--json").json
    assert report["stored"] and [row["layer"] for row in report["table"]] == ["conv"]


def test_a_network_of_two_inputs_is_refused(spair, arguments, foreign_bundle, tmp_path):
    import hashlib

    file = foreign_bundle / "graphs" / "fp32" / "model.onnx"
    model = onnx.load(file)
    model.graph.input.append(onnx.helper.make_tensor_value_info("more", onnx.TensorProto.FLOAT, [None] * 4))
    onnx.save(model, file)
    manifest = json.loads((foreign_bundle / "manifest.json").read_text())
    manifest["files"]["graphs/fp32/model.onnx"] = hashlib.sha256(file.read_bytes()).hexdigest()
    (foreign_bundle / "manifest.json").write_text(json.dumps(manifest))
    spair(*arguments, "--precision", "int8").refused("takes several inputs, expected one picture")


def fix_sizes(bundle: Path, *sizes: tuple[int, int]) -> None:
    """Turn a bundle into one of graphs of listed sizes."""
    file = bundle / "graphs" / "fp32" / "model.onnx"
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["network"] |= {"sizes": sizes, "reach": "whole", "halo": 8}
    files = {}
    for place, size in enumerate(sizes):
        model = onnx.load(file)
        for value in (*model.graph.input, *model.graph.output):
            for dim, length in zip(value.type.tensor_type.shape.dim, (1, 3, *size), strict=True):
                dim.dim_value = length
        part = name_part(size, place)
        manifest["graphs"]["fp32"][part] = f"graphs/fp32/{part}.onnx"
        files[f"graphs/fp32/{part}.onnx"] = model.SerializeToString()
    write_bundle(bundle, manifest, files, force=True)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_network_of_one_listed_size_calibrates(spair, arguments, foreign_bundle, photos, precision):
    """Its tiles are smaller and its pictures larger than the one size that its graph takes."""
    fix_sizes(foreign_bundle, (40, 56))
    report = spair(*arguments, "--precision", precision, "--clean", photos / "target", "--json").json
    assert report["stored"] and report["passed"]
    image = read_image(photos / "input" / "2.png").pixels
    with Restorer.open(foreign_bundle) as exact, Restorer.open(foreign_bundle, precision=precision) as lower:
        difference = np.abs(exact(image).image.astype(int) - lower(image).image)
    assert difference.mean() < 1 and difference.max() <= 4


def test_a_network_of_several_listed_sizes_is_refused_with_what_to_do(spair, arguments, foreign_bundle):
    fix_sizes(foreign_bundle, (40, 56), (48, 64))
    spair(*arguments, "--precision", "int8").refused(
        "a graph for each of the sizes 40x56, 48x64, and networks of one size are calibrated; .* as --sizes 48x64$"
    )


def test_quick_measures_no_layer_and_says_so(spair, arguments, photos, tmp_path):
    more = ["--precision", "fp16", "--quick", "--pictures", 4, "--side", 40, "--html", tmp_path / "page.html"]
    run = spair(*arguments, *more)
    assert run.code == 0 and "over 4 pictures" in run.out, run.err
    assert "No layer was measured alone" in (tmp_path / "page.html").read_text()


def test_a_diagnosis_says_so(spair, arguments):
    run = spair(*arguments, "--precision", "int8", "--quantize", "activations")
    assert run.code == 0 and "stored     nothing, this was a diagnosis" in run.out
