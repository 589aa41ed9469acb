"""`spair restore`: good pictures are restored whatever the others are, and the exit code says whether all were."""

import os
import shutil
import sys

import numpy as np
import pytest

from spair.cli.shared.models import Execution, open_model
from spair.runtime.cpu.library.compiling import find_compiler
from spair.runtime.files import sha256
from spair.runtime.images import read_image
from tests.serving.cluster.doubles import ClusterDouble


def pixels(path):
    return read_image(path).pixels


def test_bad_pictures_are_reported_and_the_others_restored(spair, tiny_bundle, pairs):
    folder = pairs / "input"
    (folder / "words.png").write_text("this is no picture")
    (folder / "empty.png").touch()
    (folder / "half.png").write_bytes((folder / "7.png").read_bytes()[:-200])
    done = spair("restore", tiny_bundle, folder, "--out", pairs / "out", "--threads", 1, "--json")
    assert done.code == 1
    report = done.json
    assert [image["input"].rpartition("/")[2] for image in report["images"]] == ["12.png", "7.png"]
    errors = {entry["input"].rpartition("/")[2]: entry["error"] for entry in report["failed"]}
    assert set(errors) == {"empty.png", "half.png", "words.png"}
    assert (
        "not a picture" in errors["words.png"] and "empty" in errors["empty.png"] and "truncated" in errors["half.png"]
    )
    assert sorted(path.name for path in (pairs / "out").glob("[!.]*")) == ["12.png", "7.png"]


def test_failures_are_sentences_for_people_too(spair, tiny_bundle, pairs):
    (pairs / "input" / "words.png").write_text("this is no picture")
    done = spair("restore", tiny_bundle, pairs / "input", "--out", pairs / "out", "--backend", "onnxruntime")
    assert done.code == 1
    assert "error: cannot read" in done.err and "66x30" in done.out
    assert done.out.splitlines()[-1] == "restored on onnxruntime"


def test_where_auto_does_not_take_the_kernels_one_line_says_why(spair, tiny_bundle, pairs):
    arguments = ("restore", tiny_bundle, pairs / "input", "--force-dense")
    why = "the tile path is dense, and the backend cpu computes rows only"
    report = spair(*arguments, "--out", pairs / "a", "--json").json
    assert (report["backend"], report["backend_reason"]) == ("onnxruntime", why)
    assert spair(*arguments, "--out", pairs / "b").out.splitlines()[-1] == f"restored on onnxruntime: {why}"
    report = spair(*arguments, "--out", pairs / "c", "--backend", "onnxruntime", "--json").json
    assert report["backend_reason"] is None, "it was asked for"


def test_kernels_of_our_own_restore_what_onnx_runtime_does(spair, tiny_bundle, pairs):
    if find_compiler() is None:
        pytest.skip("a C++ compiler is not installed")
    for backend in ("cpu", "onnxruntime"):
        done = spair("restore", tiny_bundle, pairs / "input", "--out", pairs / backend, "--backend", backend, "--json")
        assert done.code == 0 and done.json["backend"] == backend
    for path in (pairs / "cpu").glob("*.png"):
        difference = np.abs(pixels(path).astype(int) - pixels(pairs / "onnxruntime" / path.name))
        assert difference.max() <= 1, "a value at the middle between two numbers may be rounded to either"


def test_without_a_compiler_one_sentence_says_what_to_do(spair, tiny_bundle, pairs, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("spair.runtime.cpu.library.loading.find_ready", lambda: None)
    done = spair("restore", tiny_bundle, pairs / "input", "--out", pairs / "out", "--backend", "cpu")
    assert done.code == 2 and "the backend cpu is not available: there is no C++ compiler" in done.err
    assert not (pairs / "out").exists()


def test_json_has_the_keys_of_the_design(spair, tiny_bundle, pairs):
    (image, _) = spair("restore", tiny_bundle, pairs / "input", "--out", pairs / "out", "--json").json["images"]
    assert {"input", "output", "width", "height", "density", "seconds", "tiles"} <= set(image)
    assert set(image["tiles"]) == {"skipped", "packed", "dense"}
    assert (image["width"], image["height"]) == (66, 30)
    assert 0 < image["density"] < 1


def test_a_bundle_and_its_checkpoint_restore_alike(spair, tiny_bundle, tiny_checkpoint, pairs):
    for model, out in ((tiny_bundle, "a"), (tiny_checkpoint, "b")):
        done = spair("restore", model, pairs / "input", "--out", pairs / out, "--save-mask", "--tile", 16)
        assert done.code == 0, done.err
    for name in ("7", "12"):
        ours, theirs = (pixels(pairs / out / f"{name}.png").astype(int) for out in "ab")
        assert np.abs(ours - theirs).max() <= 1
        changed = (ours != pixels(pairs / "input" / f"{name}.png")).any(axis=2)
        mask = pixels(pairs / "a" / f"{name}.mask.png")[..., 0] > 0
        assert changed.any() and not (changed & ~mask).any()


def test_existing_results_are_left_alone_on_demand(spair, tiny_bundle, pairs):
    arguments = ("restore", tiny_bundle, pairs / "input", "--out", pairs / "out", "--skip-existing", "--json")
    assert spair(*arguments).code == 0
    (pairs / "out" / "7.png").unlink()
    report = spair(*arguments).json
    assert [image["input"] for image in report["images"]] == [str(pairs / "input" / "7.png")]
    assert report["skipped"] == [str(pairs / "input" / "12.png")]


def test_results_of_other_options_or_another_model_are_made_anew(spair, tiny_bundle, pairs, tmp_path):
    def restore(*options, model=tiny_bundle):
        done = spair(
            "restore", model, pairs / "input", "--out", pairs / "out", "--skip-existing", "--json", "--backend",
            "onnxruntime", *options,
        )  # fmt: skip
        assert done.code == 0, done.err
        return len(done.json["images"]), len(done.json["skipped"])

    assert restore() == (2, 0)
    assert restore() == (0, 2)
    assert restore("--tile", 32) == (2, 0)
    assert restore("--force-dense") == (2, 0)
    assert restore("--force-dense", "--threshold", "0.2") == (2, 0)
    assert restore("--force-dense", "--threshold", "0.35") == (2, 0), "the model's own is no option"
    assert restore("--force-dense", "--flips", "2") == (2, 0)
    assert restore("--force-dense") == (2, 0)
    other = tmp_path / "other.spair"
    shutil.copytree(tiny_bundle, other)
    assert restore("--force-dense", model=other) == (0, 2), "the same bundle in another place"
    manifest = other / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"task": "rain"', '"task": "snow"'))
    assert restore("--force-dense", model=other) == (2, 0)


def test_a_threshold_decides_how_much_is_restored(spair, tiny_bundle, pairs):
    densities = []
    for value in ("0", "0.33", "0.35", "0.37", "1"):
        done = spair("restore", tiny_bundle, pairs / "input", "--out", pairs / "out", "--threshold", value, "--json")
        densities.append(sum(image["density"] for image in done.json["images"]))
        assert done.json["threshold"] == float(value)
    assert densities[0] == 2.0 > densities[1] > densities[2] > densities[3] > densities[4] == 0.0


@pytest.mark.parametrize("value", ["1.01", "nan", "much"])
def test_a_threshold_out_of_range_is_refused_before_any_work(spair, tmp_path, pairs, value):
    done = spair("restore", tmp_path / "absent.spair", pairs / "input", "--out", pairs / "out", "--threshold", value)
    done.refused("the threshold is .*, expected a number from 0 to 1, or one of fast, balanced, best")


@pytest.mark.parametrize("command", ["restore", "evaluate"])
def test_other_numbers_of_flips_are_refused_before_any_work(spair, tmp_path, pairs, command):
    inputs = [pairs / "input"] if command == "restore" else ["--input", pairs / "input", "--clean", pairs / "input"]
    spair(command, tmp_path / "absent.spair", *inputs, "--out", tmp_path / "out", "--flips", "3").refused(
        "the number of flips is 3, expected 1, 2 or 4"
    )


def test_a_checkpoint_counts_by_its_content(spair, tiny_checkpoint, pairs):
    arguments = ("restore", tiny_checkpoint, pairs / "input" / "7.png", "--out", pairs / "out", "--skip-existing")
    assert [len(spair(*arguments, "--json").json["skipped"]) for _ in range(2)] == [0, 1]
    with open_model(tiny_checkpoint, Execution(backend="torch")) as restorer:
        assert restorer.facts["digest"] == sha256(tiny_checkpoint)


def test_subfolders_are_searched_on_demand_and_kept(spair, tiny_bundle, pairs):
    (pairs / "input" / "deep").mkdir()
    shutil.move(pairs / "input" / "7.png", pairs / "input" / "deep" / "7.png")
    spair("restore", tiny_bundle, pairs / "input", "--out", pairs / "flat")
    spair("restore", tiny_bundle, pairs / "input", "--out", pairs / "all", "--recursive")
    assert not (pairs / "flat" / "deep").exists()
    assert (pairs / "all" / "deep" / "7.png").is_file()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--precision", "fp16"], "has no fp16 graphs"),
        (["--backend", "torch"], "does not run on torch"),
        (["--backend", "abacus"], "unknown backend 'abacus'"),
    ],
)
def test_options_a_bundle_cannot_meet_are_refused(spair, tiny_bundle, pairs, options, match):
    spair("restore", tiny_bundle, pairs / "input", "--out", pairs / "out", *options).refused(match)
    assert not (pairs / "out").exists()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--precision", "int8"], "runs in fp32, not in int8"),
        (["--backend", "onnxruntime"], "runs on torch, not on onnxr"),
    ],
)
def test_options_a_checkpoint_cannot_meet_are_refused(spair, tiny_checkpoint, pairs, options, match):
    spair("restore", tiny_checkpoint, pairs / "input", "--out", pairs / "out", *options).refused(match)
    assert not (pairs / "out").exists()


def test_inputs_and_output_are_checked_first(spair, tmp_path, pairs):
    (tmp_path / "file").touch()
    absent = tmp_path / "no.spair"
    spair("restore", absent, tmp_path / "nowhere.png", "--out", tmp_path / "out").refused("nowhere.png does not exist")
    spair("restore", absent, pairs / "input", "--out", tmp_path / "file" / "x").refused(
        "is not a folder; choose another"
    )
    spair("restore", absent, pairs / "input", "--out", pairs / "input").refused("would overwrite an input")
    spair("restore", absent, pairs / "input", "--out", tmp_path / "out").refused("no.spair: it does not exist")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_may_not_be_written_is_refused(spair, tiny_bundle, pairs, monkeypatch):
    may = os.access  # tests may run as root, who may write anywhere
    monkeypatch.setattr("os.access", lambda path, mode: not mode & os.W_OK and may(path, mode))
    spair("restore", tiny_bundle, pairs / "input", "--out", pairs / "out").refused("is not writable; choose another")
    assert not (pairs / "out").exists()


def test_tiles_are_computed_the_way_that_is_asked_for_with_the_same_result(spair, tiny_bundle, pairs):
    results = {}
    for way in ("dense", "packed"):
        done = spair("restore", tiny_bundle, pairs / "input", "--out", pairs / way, f"--force-{way}", "--json")
        assert done.code == 0, done.err
        assert all(image["tiles"][way] == 1 and sum(image["tiles"].values()) == 1 for image in done.json["images"])
        results[way] = pixels(pairs / way / "7.png").astype(int)
    assert np.abs(results["dense"] - results["packed"]).max() <= 1


def test_ways_that_exclude_each_other_or_the_model_are_refused(spair, tiny_bundle, tiny_checkpoint, pairs):
    both = spair("restore", tiny_bundle, pairs / "input", "--out", pairs / "o", "--force-dense", "--force-packed")
    assert both.code == 2 and "exclude each other" in both.err
    torch = spair("restore", tiny_checkpoint, pairs / "input", "--out", pairs / "o", "--force-packed")
    assert torch.code == 2 and "needs a bundle" in torch.err
    assert not (pairs / "o").exists()


@pytest.fixture
def cluster(monkeypatch):
    """A double of Ray with two nodes, in place of the package."""
    double = ClusterDouble(cpus=(2.0, 2.0))
    monkeypatch.setattr("spair.serving.cluster.connection.load_ray", lambda: double)
    monkeypatch.setattr("spair.serving.cluster.run.connect", double.connect)
    return double


def test_a_cluster_gives_the_results_of_one_machine(spair, tiny_bundle, pairs, cluster):
    (pairs / "input" / "words.png").write_text("this is no picture")
    arguments = ("restore", tiny_bundle, pairs / "input", "--threads", 1, "--tile", 16, "--save-mask", "--json")
    plain, ours = spair(*arguments, "--out", pairs / "a"), spair(*arguments, "--out", pairs / "b", "--ray", "auto")
    assert (plain.code, ours.code) == (1, 1)
    assert set(ours.json) == {*plain.json, "nodes", "actors"}
    assert (ours.json["nodes"], ours.json["actors"], ours.json["backend"]) == (2, 3, plain.json["backend"])
    assert [one["error"] for one in ours.json["failed"]] == [one["error"] for one in plain.json["failed"]]
    files = {path.name: path.read_bytes() for path in (pairs / "a").glob("[!.]*")}
    assert files == {path.name: path.read_bytes() for path in (pairs / "b").glob("[!.]*")}
    assert len(files) == 4


def test_the_table_says_where_a_cluster_restored(spair, tiny_bundle, pairs, cluster):
    where = ("--ray", "local", "--actors", 1, "--backend", "onnxruntime")
    done = spair("restore", tiny_bundle, pairs / "input", "--out", pairs / "out", *where)
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == "restored on onnxruntime, 1 actors on 1 nodes"


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--actors", 2], "--actors 2 is for a cluster; give its address with --ray"),
        (["--ray", "somewhere"], "cannot use the Ray address 'somewhere'; expected auto, local or HOST:PORT"),
        (["--ray", "auto", "--precision", "fp16"], "has no fp16 graphs"),
    ],
)
def test_options_a_cluster_cannot_meet_are_refused(spair, tiny_bundle, pairs, cluster, options, match):
    spair("restore", tiny_bundle, pairs / "input", "--out", pairs / "out", *options).refused(match)
    assert not (pairs / "out").exists()


def test_a_cluster_runs_no_checkpoints(spair, tiny_checkpoint, pairs, cluster):
    done = spair("restore", tiny_checkpoint, pairs / "input", "--out", pairs / "out", "--ray", "auto")
    done.refused("is a checkpoint, and a cluster runs bundles; export it first: spair export")
    assert not (pairs / "out").exists()


def test_a_missing_ray_is_told_before_anything_else(spair, pairs, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    done = spair("restore", pairs / "no.spair", pairs / "input", "--out", pairs / "out", "--ray", "auto")
    done.refused(r"needs the Python package ray.*pip install 'spair-rt\[ray\]'")
    assert not (pairs / "out").exists()


def test_without_a_cluster_ray_is_not_looked_for(spair, tiny_bundle, pairs, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert spair("restore", tiny_bundle, pairs / "input", "--out", pairs / "out").code == 0


def test_options_of_the_results_reach_them(spair, tiny_bundle, pairs):
    done = spair(
        "restore", tiny_bundle, pairs / "input", "--out", pairs / "out", "--format", "jpeg", "--quality", 60,
        "--suffix", "_new", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert sorted(path.name for path in (pairs / "out").glob("[!.]*")) == ["12_new.jpg", "7_new.jpg"]
    assert read_image(pairs / "out" / "7_new.jpg").format == "JPEG"


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--range", "0-255"], "not of the form LOW:HIGH"),
        (["--format", "bmp"], "--format bmp is not written"),
        (["--out", ""], "--out is empty"),
        (["--out", "result.png"], "is the name of a file; give a folder"),
    ],
)
def test_options_of_results_are_checked_first(spair, pairs, options, match):
    place = [] if options[0] == "--out" else ["--out", pairs / "out"]
    spair("restore", pairs / "none.spair", pairs / "input", *place, *options).refused(match)
    assert not (pairs / "out").exists()


def test_ctrl_c_reports_what_was_done(spair, tiny_bundle, pairs, monkeypatch):
    from spair.runtime import Restorer

    calls = []

    def stop_at_the_second(self, image, **options):
        calls.append(image)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return plain(self, image, **options)

    plain = Restorer.__call__
    monkeypatch.setattr(Restorer, "__call__", stop_at_the_second)
    done = spair("restore", tiny_bundle, pairs / "input", "--out", pairs / "out", "--json")
    assert done.code == 130
    report = done.json
    assert (report["stopped"], len(report["images"])) == ("interrupted", 1)
    assert [path.rpartition("/")[2] for path in report["left"]] == ["7.png"]
    calls.clear()
    done = spair("restore", tiny_bundle, pairs / "input", "--out", pairs / "out")
    assert "interrupted: 1 restored, 0 failed, 1 left, from " in done.err and "--skip-existing" in done.err


def test_what_is_unusual_is_told_once(spair, tiny_bundle, pairs):
    (pairs / "input" / "7.mask.png").write_bytes((pairs / "input" / "7.png").read_bytes())
    (pairs / "input" / "x.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    done = spair("restore", tiny_bundle, pairs / "input", "--out", pairs / "out", "--format", "png")
    assert done.code == 1
    assert done.err.count("note: 1 masks") == 1 and done.err.count("of the kind HEIC") == 1
    assert not (pairs / "out" / "7.mask.png").exists()
