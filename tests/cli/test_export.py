"""`spair export`: what it refuses leaves nothing behind, and what it makes works in the other verbs."""

import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from spair.network import TINY
from spair.runtime import Bundle


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out" / "new.spair"


def damage(kind, checkpoint, folder):
    """Make one kind of unusable checkpoint."""
    path = folder / "bad.safetensors"
    if kind == "missing":
        return path
    if kind == "truncated":
        path.write_bytes(checkpoint.read_bytes()[:-1000])
    elif kind == "no checkpoint":
        path.write_text("hello")
    elif kind == "foreign":
        save_file({"some.weight": torch.ones(3)}, path)
    elif kind == "pickled":
        path = path.with_suffix(".pth")
        path.write_bytes(pickle.dumps(torch.nn.Linear(2, 2)))
    elif kind == "whole module":
        path = path.with_suffix(".pt")
        torch.save(torch.nn.Linear(2, 2), path)
    elif kind == "mismatched":
        state = load_file(checkpoint)
        state.pop("net_l.stem.bias")
        save_file(state, path, {"preset": TINY.to_json()})
    elif kind == "NaN":
        state = load_file(checkpoint)
        state["net_l.stem.bias"][3] = float("nan")
        save_file(state, path, {"preset": TINY.to_json()})
    return path


DAMAGES = {
    "missing": "does not exist",
    "truncated": "truncated",
    "no checkpoint": "not a safetensors file",
    "foreign": "not a checkpoint of a SPAIR preset .* --factory",
    "pickled": "not a plain state dict",
    "whole module": "not a plain state dict",
    "mismatched": r"1 keys missing \(net_l.stem.bias\)",
    "NaN": "NaN or infinite values in 1 tensors",
}


@pytest.mark.parametrize(("kind", "match"), DAMAGES.items())
def test_an_unusable_checkpoint_is_refused_and_nothing_is_written(spair, tiny_checkpoint, tmp_path, out, kind, match):
    path = damage(kind, tiny_checkpoint, tmp_path)
    for arguments in (("export", path, "--out", out), ("inspect", path)):
        spair(*arguments, "--json").refused(match)
    assert not out.parent.exists()


def test_an_existing_bundle_stays_without_force(spair, tiny_checkpoint, bundle):
    before = (bundle / "manifest.json").read_bytes()
    spair("export", tiny_checkpoint, "--out", bundle).refused("it exists; add --force")
    assert (bundle / "manifest.json").read_bytes() == before


def test_a_place_that_cannot_be_written_is_refused_before_any_work(spair, tiny_checkpoint, tmp_path):
    (tmp_path / "file").touch()
    spair("export", tiny_checkpoint, "--out", tmp_path / "file" / "b.spair").refused(
        "file is not a folder; choose another --out"
    )


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--input", "image:3"], "give that too"),
        (["--multiple", "8"], "give that too"),
        (["--min-size", "4"], "give that too"),
        (["--factory", "a:b", "--preset", "tiny"], "give one of the two"),
        (["--factory", "no_such_module:build"], "'no_such_module:build' does not import"),
        (["--factory", "their_network:nothing"], "has no 'nothing'"),
        (["--factory", "their_network"], "not of the form package.module:function"),
        (["--factory", "their_network:fail"], "failed: OSError: no such device"),
        (["--factory", "json:loads"], "failed: TypeError"),
        (["--factory", "their_network:build", "--input", "image"], "not of the form NAME:CHANNELS"),
        (["--factory", "their_network:build", "--input", "image:4"], "describe its inputs with --input"),
        (["--factory", "their_network:build", "--output", "a", "--output", "b", "--output", "c"], "returns 2 tensors"),
        (["--preset", "huge"], "there is no preset 'huge'"),
    ],
)
def test_contradicting_or_wrong_options_are_refused(spair, foreign, out, options, match):
    spair("export", foreign.checkpoint, "--out", out, *options).refused(match)
    assert not out.parent.exists()


def test_a_checkpoint_that_does_not_fit_the_factory_names_the_keys(spair, foreign, tiny_checkpoint, out):
    done = spair("export", tiny_checkpoint, "--factory", foreign.factory, "--out", out)
    done.refused(r"does not fit Brighten: 2 keys missing \(conv.weight, conv.bias\)")
    assert not out.parent.exists()


def test_somebody_elses_network_goes_through_every_verb(spair, foreign, pairs, out):
    done = spair(
        "export", foreign.checkpoint, "--factory", foreign.factory, "--output", "bright", "--min-size", 4, "--out", out,
        "--json",
    )  # fmt: skip
    assert Bundle.open(out).manifest.raw["network"]["min_size"] == 4
    assert done.code == 0, done.err
    assert done.json["operators"] == {} and done.json["parity"]["passed"]
    report = spair("inspect", out, "--json").json
    assert (report["kind"], report["preset"], report["outputs"]) == ("foreign", "build", ["bright", "output_1"])
    assert report["macs"] is None and report["parameters"] >= 84  # 3x3x3x3 + 3
    folders = ("--input", pairs / "input", "--clean", pairs / "target", "--json")
    exported = spair("evaluate", out, *folders).json
    original = spair("evaluate", foreign.checkpoint, "--factory", foreign.factory, *folders).json
    assert exported["psnr_rgb"] == pytest.approx(original["psnr_rgb"], abs=0.01)
    assert exported["density"] is None and original["density"] is None
    restored = spair("restore", out, pairs / "input", "--out", pairs / "restored", "--json")
    assert restored.code == 0 and len(restored.json["images"]) == 2
    spair("restore", out, pairs / "input", "--out", pairs / "no", "--save-mask").refused("without a mask")
    assert not (pairs / "no").exists()


def test_the_options_reach_the_exporter(spair, monkeypatch, tiny_bundle, tiny_checkpoint, out):
    seen = {}

    def fake(checkpoint, target, **options):
        options.pop("progress")("a step")
        seen.update(options, checkpoint=checkpoint, out=target)
        print("chatter")  # whatever libraries print must not reach stdout
        shutil.copytree(tiny_bundle, target)
        parity = {"cases": 3, "max_abs": 1e-6, "mean_abs": 1e-7, "passed": True}
        return {"bundle": str(target), "task": task, "preset": "tiny", "opset": 18, "operators": {}, "parity": parity}

    task = "rain"
    monkeypatch.setattr("spair.export.exporter.export_checkpoint", fake)
    done = spair("export", tiny_checkpoint, "--out", out, "--force", "--preset", "tiny", "--task", task, "--json")
    assert seen == {"checkpoint": tiny_checkpoint, "out": out, "force": True, "preset": "tiny", "task": "rain"}
    assert done.json["bundle"] == str(out) and "chatter" in done.err
    shutil.rmtree(out)
    assert "passed 3 cases" in spair("export", tiny_checkpoint, "--out", out).out
