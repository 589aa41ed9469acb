"""`spair export`: what it refuses leaves nothing behind, and what it makes works in the other verbs."""

import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from spair.network import TINY
from spair.runtime import Bundle
from tests.export.catalogue.instances import INSTANCES
from tests.sharing import reuse_graphs


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
    "mismatched": r"1 key missing \(net_l.stem.bias\)",
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
        (["--input", "image:3"], "known networks.*: its keys begin .* give its definition with --factory"),
        (["--factory", "a:b", "--preset", "tiny"], "give one of the two"),
        (["--factory", "no_such_module:build"], "'no_such_module:build' does not import"),
        (["--factory", "their_network:nothing"], "has no 'nothing'"),
        (["--factory", "their_network"], "not of the form package.module:function"),
        (["--factory", "their_network:fail"], "failed: OSError: no such device"),
        (["--factory", "json:loads"], "failed: TypeError"),
        (["--factory", "their_network:build", "--input", "image"], "not of the form NAME:CHANNELS"),
        (["--factory", "their_network:build", "--input", "image:4"], "has 4 channels, expected 3 .RGB. or 1 .gray."),
        (["--factory", "their_network:build", "--input", "image:1"], "it takes 3 channels: give --input image:3"),
        (["--factory", "their_network:build", "--side-input", "noise"], "not of the form NAME=VALUE"),
        (["--factory", "their_network:build", "--side-input", "noise=1/0"], "not of the form NAME=VALUE"),
        (["--factory", "their_network:build", "--side-input", "noise=25/255"], "fails on inputs of .* --side-input"),
        (["--factory", "their_network:build", "--sizes", "64"], "not of the form HxW"),
        (["--factory", "their_network:build", "--sizes", "8x8, 8x8"], "names a size twice"),
        (["--factory", "their_network:build", "--picture", "9"], "returns no output 9; --picture takes one of 0"),
        (["--factory", "their_network:build", "--output-range", "0..9"], "expected one of 0..1, -1..1, 0..255"),
        (["--factory", "their_network:build", "--colour", "red"], "expected one of channels, luma"),
        (["--factory", "their_network:build", "--output", "a", "--output", "b", "--output", "c"], "returns 2 tensors"),
        (["--preset", "huge"], "there is no preset 'huge'"),
    ],
)
def test_contradicting_or_wrong_options_are_refused(spair, foreign, out, options, match):
    spair("export", foreign.checkpoint, "--out", out, *options).refused(match)
    assert not out.parent.exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--input", "image:3"],
        ["--output", "restored"],
        ["--multiple", "8"],
        ["--min-size", "4"],
        ["--picture", "0"],
        ["--side-input", "noise=1"],
        ["--output-range", "0..1"],
        ["--colour", "luma"],
        ["--sizes", "8x8"],
    ],
    ids=lambda options: options[0],
)
def test_options_of_other_networks_are_refused_beside_a_spair_checkpoint(spair, tiny_checkpoint, out, options):
    spair("export", tiny_checkpoint, "--out", out, *options).refused("is a checkpoint of SPAIR, and .*; leave them out")
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
        weights = {"prefix": "params_ema.", "added": "", "others": ("params.",), "ignored": ("params",)}
        facts = {"task": task, "preset": "tiny", "opset": 18, "operators": {}, "parity": parity, "weights": weights}
        return {"bundle": str(target), **facts}

    task = "rain"
    monkeypatch.setattr("spair.export.choosing.export_checkpoint", fake)
    done = spair("export", tiny_checkpoint, "--out", out, "--force", "--preset", "tiny", "--task", task,
                 "--weights", "params", "--json")  # fmt: skip
    given = {"checkpoint": tiny_checkpoint, "out": out, "force": True, "preset": "tiny", "task": "rain"}
    assert seen == {**given, "key": "params"}
    assert done.json["bundle"] == str(out) and "chatter" in done.err
    shutil.rmtree(out)
    done = spair("export", tiny_checkpoint, "--out", out)
    assert "passed 3 cases" in done.out
    assert "found under params_ema; would fit as well (choose with --weights): params; left out: params" in done.out


class TestKnown:
    """Networks that are recognised by their weights."""

    @pytest.fixture
    def ffdnet(self, tmp_path):
        (instance,) = (instance for instance in INSTANCES if instance.name == "FFDNet")
        return instance.save(tmp_path / "ffdnet.pth", **instance.tiny)

    def test_a_known_network_is_exported_and_told_and_restores(self, spair, ffdnet, pairs, out):
        done = spair("export", ffdnet, "--out", out, "--side-input", "noise=25/255", "--json")
        assert done.code == 0, done.err
        assert done.json["recognised"] == {
            "name": "FFDNet", "source": "spair", "scale": 1, "channels": 3, "parameters": 2988,
            "details": ["8 features", "4 convolutions"],
        }  # fmt: skip
        assert done.json["parity"]["passed"] and done.json["weights"]["prefix"] == "params."
        assert spair("inspect", out, "--json").json["preset"] == "FFDNet"
        restored = spair("restore", out, pairs / "input", "--out", pairs / "restored", "--json")
        assert restored.code == 0 and len(restored.json["images"]) == 2

    def test_a_missing_level_of_noise_is_asked_for_and_nothing_is_written(self, spair, ffdnet, out):
        spair("export", ffdnet, "--out", out).refused("FFDNet takes a level of noise .* --side-input noise=25/255")
        assert not out.parent.exists()

    def test_the_options_reach_the_exporter_where_they_are_given(self, spair, ffdnet, out, monkeypatch):
        seen = {}

        def fake(checkpoint, target, *, said, key, task, force, progress):
            seen.update(said)
            report = {"bundle": str(target), "task": task, "preset": "SwinIR", "opset": 18, "operators": {}}
            parity = {"cases": 3, "max_abs": 1e-6, "mean_abs": 1e-7, "passed": True}
            weights = {"prefix": "", "added": "", "others": (), "ignored": ()}
            facts = {"name": "SwinIR", "source": "spandrel 0.4.2", "scale": 4, "channels": 1, "parameters": 1234}
            return {**report, "parity": parity, "weights": weights, "recognised": {**facts, "details": ["s64w8"]}}

        monkeypatch.setattr("spair.export.choosing.export_known", fake)
        done = spair("export", ffdnet, "--out", out, "--multiple", "4", "--colour", "luma", "--sizes", "8x8")
        assert seen == {"multiple": 4, "colour": "luma", "sizes": ((8, 8),)}
        line = "recognised SwinIR of spandrel 0.4.2: scale 4, 1 channel, 1,234 parameters (s64w8)"
        assert line in done.out


class TestServed:
    """One file for other programs."""

    def test_a_bundle_becomes_a_file_that_other_verbs_take(self, spair, tiny_bundle, tmp_path):
        file = tmp_path / "rain.onnx"
        run = spair("export", tiny_bundle, "--served", file, "--json")
        assert run.code == 0, run.err
        assert run.json == {"served": {**run.json["served"], "path": str(file), "precision": "fp32", "task": "rain"}}
        assert run.json["served"]["bytes"] == file.stat().st_size
        assert f"served     {file}: fp32, opset 18" in spair("export", tiny_bundle, "--served", file, "--force").out
        facts = spair("inspect", file, "--json").json
        assert (facts["kind"], facts["task"], facts["precisions"]) == ("served graph", "rain", ["fp32"])
        assert facts["facts"]["name"] == "rain-tiny" and facts["parameters"] is None

    def test_a_checkpoint_becomes_bundle_and_file(
        self, spair, tiny_checkpoint, tiny_bundle, out, tmp_path, monkeypatch
    ):
        reuse_graphs(tiny_bundle, monkeypatch)
        run = spair("export", tiny_checkpoint, "--out", out, "--served", tmp_path / "both.onnx", "--json")
        assert run.code == 0, run.err
        assert run.json["bundle"] == str(out) and run.json["served"]["path"] == str(tmp_path / "both.onnx")
        assert Bundle.open(out).manifest.task == "rain" and (tmp_path / "both.onnx").is_file()

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ([], "there is nothing to write; give --out NAME.spair for a bundle, or --served NAME.onnx"),
            (["--served", "rain.plan"], r"a served graph is a file NAME.onnx, got rain.plan"),
            (["--served", "absent/rain.onnx"], "there is no folder .*absent; make it, or choose another --served"),
            (["--out", "o.spair", "--precision", "fp16"], "--precision fp16 is for --served"),
            (["--out", "o.spair", "--served", "o.onnx", "--precision", "fp16"], "and --out makes a new one in fp32"),
            (["--served", "o.onnx"], "is no bundle, which --served needs; give --out NAME.spair too"),
        ],
    )
    def test_what_does_not_fit_is_one_sentence_and_writes_nothing(
        self, spair, tiny_checkpoint, tmp_path, monkeypatch, options, words
    ):
        monkeypatch.chdir(tmp_path)
        spair("export", tiny_checkpoint, *options).refused(words)
        assert list(tmp_path.iterdir()) == []

    def test_an_existing_file_stays(self, spair, tiny_bundle, tmp_path):
        (tmp_path / "rain.onnx").write_bytes(b"old")
        spair("export", tiny_bundle, "--served", tmp_path / "rain.onnx").refused("exists; add --force to replace it")
        assert (tmp_path / "rain.onnx").read_bytes() == b"old"
