import contextlib
import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks import network as benchmark
from benchmarks.network import judge, measure, parse_arguments, plan_masks, show
from benchmarks.peers.graphs import DENSE_PEERS
from benchmarks.peers.install import PeerAbsentError
from benchmarks.subjects import network as subject
from benchmarks.subjects.network import check_adaptive, check_dense, make_picture, open_network
from spair.runtime import GateError, UserError, write_image
from spair.runtime.images import Picture

SIZE = (28, 44)


@pytest.fixture(autouse=True)
def ready_bundle(monkeypatch, tmp_path, tiny_checkpoint, tiny_bundle):
    """No export, no tuning and no installation in each test, and nothing from or into the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(subject, "make_bundle", lambda preset, folder: (tiny_checkpoint, tiny_bundle, "random"))
    monkeypatch.setattr(subject, "tune_routing", lambda bundle, threads: {})

    def refuse(name):
        raise PeerAbsentError(f"{name} is not for tests")

    monkeypatch.setattr("benchmarks.peers.graphs.load_package", refuse)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def opened(tmp_path):
    with open_network("tiny", tmp_path, 1) as network:
        yield network


def left_half():
    mask = np.zeros(SIZE, bool)
    mask[:, : SIZE[1] // 2] = True
    return mask


def test_masks_without_a_distorted_or_a_clean_pixel_have_one_shape():
    planned = [
        (shape, density, mask.mean()) for shape, density, mask in plan_masks(("streak", "blob"), (1, 0.5, 0), 10, 8)
    ]
    assert planned == [("none", 0, 0.0), ("streak", 0.5, 0.5), ("blob", 0.5, 0.5), ("all", 1, 1.0)]


@pytest.mark.parametrize("mask", [None, np.zeros(SIZE, bool), left_half(), np.ones(SIZE, bool)])
def test_the_restorer_passes_the_gate(opened, mask):
    assert check_adaptive(opened, make_picture(*SIZE), mask) <= 1e-4


@pytest.mark.parametrize(
    ("change", "match"),
    [
        pytest.param(lambda out, image, mask: image, "differs from PyTorch", id="not restored"),
        pytest.param(lambda out, image, mask: np.roll(out, 1, axis=1), "differs from PyTorch", id="shifted"),
        pytest.param(
            lambda out, image, mask: np.where(mask[..., None], out, out * np.float32(1 - 1e-6)),
            "touched .* clean pixels",
            id="clean pixels touched",
        ),
        pytest.param(
            lambda out, image, mask: np.where(mask[..., None], out, out ^ 1) if out.dtype == np.uint8 else out,
            "8-bit picture is wrong",
            id="clean pixels touched in 8 bit",
        ),
    ],
)
def test_a_wrong_restorer_fails_the_gate(opened, change, match):
    def restore(image, *, mask=None):
        result = opened.restorer(image, mask=mask)
        wrong = change(result.image, image, result.mask)
        return dataclasses.replace(result, image=wrong.astype(image.dtype))

    with pytest.raises(GateError, match=match):
        check_adaptive(dataclasses.replace(opened, restorer=restore), make_picture(*SIZE), left_half())


def test_a_restorer_with_a_mask_of_its_own_fails_the_gate(opened):
    ignoring = dataclasses.replace(opened, restorer=lambda image, mask=None: opened.restorer(image))
    with pytest.raises(GateError, match="used another mask"):
        check_adaptive(ignoring, make_picture(*SIZE), left_half())


def test_a_reference_that_restores_nothing_is_no_gate(opened):
    with torch.no_grad():
        opened.model.net_r.out.weight.zero_()
        opened.model.net_r.out.bias.zero_()

    def restore(image, *, mask=None):
        return SimpleNamespace(image=image, mask=mask)

    with pytest.raises(GateError, match="it tests nothing"):
        check_adaptive(dataclasses.replace(opened, restorer=restore), make_picture(*SIZE), left_half())


def test_a_dense_contender_is_held_to_picture_and_mask(opened):
    image = make_picture(*SIZE)
    assert check_dense(opened, "dense", opened.dense, image) <= 1e-4

    def inverted(feeds):
        outputs = opened.dense(feeds)
        return {**outputs, "mask": 1.0 - outputs["mask"]}

    with pytest.raises(GateError, match="pixels of the mask differ"):
        check_dense(opened, "inverted", inverted, image)
    with pytest.raises(GateError, match="same tiny differs from PyTorch"):
        check_dense(opened, "same", lambda feeds: {**opened.dense(feeds), "restored": feeds["image"]}, image)


def test_random_weights_pass_the_gate_that_is_no_gate_for_fresh_ones(tmp_path):
    from spair.network import load_checkpoint

    subject.save_random("base", tmp_path / "base.safetensors")
    model = load_checkpoint(tmp_path / "base.safetensors").model
    image = torch.from_numpy(make_picture(64, 72).astype(np.float32) / 255).permute(2, 0, 1)[None]
    with torch.inference_mode():
        result = model(image)
    assert 0.1 < float(result.mask.mean()) < 0.7
    assert float((result.image - image).abs().max()) > subject.LEAST_CHANGE


def rain_folder(path):
    for number, level in enumerate(("light", "heavy")):
        folder = path / level / "input"
        folder.mkdir(parents=True)
        write_image(folder / "1.png", Picture(make_picture(32, 40 + 8 * number)))
    return path


def test_a_small_run_reports_everything(tmp_path, capsys):
    words = ["--presets", "tiny", "--size", "44x28", "--densities", "0,0.1,1", "--threads", "1", "--repeat", "1"]
    words += ["--peers", "eager,maskless,openvino", "--rain", str(rain_folder(tmp_path))]
    report = json.loads(json.dumps(measure(parse_arguments(words))))
    assert [row["mask"] for row in report["rows"]] == ["none", "streak", "blob", "all"]
    assert [row["over_net_l"] is None for row in report["rows"]] == [False, True, True, True]
    assert all(row["max_error"] <= 1e-4 for row in report["rows"] + report["rain"])
    assert {row["peer"]: row.get("absent") for row in report["peers"]} == {
        "eager": None,
        "maskless": None,
        "openvino": "openvino is not for tests",
    }
    assert [(row["set"], row["files"]) for row in report["rain"]] == [("light", 1), ("heavy", 1)]
    show(report)
    out = capsys.readouterr().out
    assert "absent: tiny, openvino: openvino is not for tests" in out and "light rain, 1 files: median" in out


def test_a_folder_without_rain_is_refused(opened, tmp_path):
    with pytest.raises(UserError, match="has no PNG files"):
        list(benchmark.measure_rain(opened, tmp_path, 1))


def test_a_wrong_peer_has_no_times_but_costs_nobody_else_theirs(monkeypatch, capsys, tmp_path):
    @contextlib.contextmanager
    def open_cheat(subject):
        yield lambda feeds: {"restored": feeds["image"], "mask": np.ones_like(feeds["image"][:, :1])}

    monkeypatch.setitem(DENSE_PEERS, "eager", open_cheat)
    file = tmp_path / "report.json"
    words = ["--presets", "tiny", "--size", "16x16", "--densities", "0.1", "--peers", "eager,maskless"]
    words += ["--threads", "1", "--repeat", "1", "--json", str(file)]
    monkeypatch.setattr("sys.argv", ["network", *words])
    assert benchmark.main() == 1
    wrong, right = json.loads(file.read_text())["peers"]
    assert "ms" not in wrong and "pixels of the mask differ" in wrong["wrong"]
    assert right["peer"] == "maskless" and right["ms"]["median"] > 0
    assert "no times of tiny, eager: 192 pixels of the mask differ" in capsys.readouterr().out


def test_a_wrong_result_of_ours_ends_the_run_without_times(monkeypatch, capsys, tmp_path):
    def refuse(*arguments):
        raise GateError("adaptive differs")

    monkeypatch.setattr(benchmark, "measure_masks", refuse)
    file = tmp_path / "report.json"
    words = ["--presets", "tiny", "--size", "16x16", "--densities", "0.1", "--threads", "1", "--json", str(file)]
    monkeypatch.setattr("sys.argv", ["network", *words])
    assert benchmark.main() == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.splitlines()[-1] == "error: adaptive differs"
    assert not file.exists()


def test_targets_are_judged_by_density():
    rows = [
        {"preset": "tiny", "mask": "none", "density": 0.0, "speedup": 30.0, "over_net_l": 1.2},
        {"preset": "tiny", "mask": "streak", "density": 0.02, "speedup": 6.5, "over_net_l": None},
        {"preset": "tiny", "mask": "streak", "density": 0.2, "speedup": 2.0, "over_net_l": None},
        {"preset": "tiny", "mask": "blob", "density": 0.1, "speedup": 2.9, "over_net_l": None},
        {"preset": "base", "mask": "all", "density": 1.0, "speedup": 0.96, "over_net_l": None},
    ]
    rain = [
        {"set": "light", "files": 40, "speedup": {"median": 2.6}},
        {"set": "heavy", "files": 40, "speedup": {"median": 0.9}},
    ]
    assert {target.name: target.passed for target in judge({"rows": rows, "rain": rain})} == {
        "tiny, none, 0%: times Net_L alone": False,
        "tiny, streak, 2%: speed-up": True,
        "tiny, blob, 10%: speed-up": False,
        "base, all, 100%: speed-up": True,
        "light rain, 40 files: median speed-up": True,
        "heavy rain, 40 files: median speed-up": False,
    }
