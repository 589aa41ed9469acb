"""Bundles are checked before use, refused in one sentence, and written whole or not at all."""

import json
import shutil
from pathlib import Path

import pytest

from spair.runtime import Bundle, UserError
from spair.runtime.bundle.manifest import parse_manifest
from spair.runtime.bundle.reader import MANIFEST
from spair.runtime.bundle.writer import check_target, extend_bundle, write_bundle
from spair.runtime.tiling.spec import ForeignNetwork, SpairNetwork

GRAPH = "graphs/fp32/net_l.onnx"


def edit(bundle, **changes):
    """Overwrite top-level entries of a manifest on disk; None removes one."""
    file = bundle.path / "manifest.json"
    raw = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({key: value for key, value in raw.items() if value is not None}))
    return bundle.path


def snapshot(folder: Path):
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_what_is_written_is_read_back(bundles):
    bundle = bundles.spair()
    manifest = Bundle.open(bundle.path).manifest
    assert manifest.network == SpairNetwork(halo_l=24, halo_r=16, multiple=8, grid=4, channels=(4, 6, 5))
    assert (manifest.kind, manifest.task, manifest.preset, manifest.opset) == ("spair", "rain", "tiny", 18)
    assert manifest.operators == {"SparseConv2d": 3}
    assert manifest.outputs == ("restored", "mask")
    assert bundle.precisions == ("fp32",)
    assert bundle.graph("fp32", "net_l").read_bytes() == bundles.net_l
    assert bundle.has_graph("fp32", "net_r") and not bundle.has_graph("fp16", "net_r")


def test_unknown_keys_are_tolerated_and_kept(bundles):
    path = edit(bundles.spair(), colour="green")
    assert Bundle.open(path).manifest.raw["colour"] == "green"


def test_foreign_bundles_have_their_own_settings(bundles):
    assert bundles.other().manifest.network == ForeignNetwork(multiple=4, halo=3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 7}, "schema 7 and this version reads up to schema 1; upgrade spair-rt"),
        ({"schema": "1"}, "schema is '1', expected a number"),
        ({"schema": None}, "schema is None"),
        ({"kind": "magic"}, "kind is 'magic', expected one of spair, foreign"),
        ({"kind": None}, "the entry 'kind' is missing"),
        ({"network": None}, "the entry 'network' is missing"),
        ({"network": {"halo_l": 8}}, "halo_r"),
        ({"network": {"halo_l": -1, "halo_r": 0}}, "halos must be >= 0"),
        ({"network": {"halo_l": 0, "halo_r": 0, "multiple": 6}}, r"must include .* must divide 6, got"),
        ({"graphs": {"fp32": ["a"]}}, "graphs must be a table"),
        ({"graphs": {"fp32": {"net_l": "other.onnx"}}}, "other.onnx is not listed among its files"),
        ({"files": {GRAPH: 5}}, "files must be a table"),
        ({"name": 3}, "name is 3, expected text"),
    ],
)
def test_bad_manifests_are_refused_in_one_sentence(bundles, changes, message):
    path = edit(bundles.spair(), **changes)
    with pytest.raises(UserError, match=message) as caught:
        Bundle.open(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"), [("{", "not JSON"), ("[]", "holds a list, expected an object"), ("", "not JSON")]
)
def test_files_that_are_no_manifest_are_refused(text, message):
    with pytest.raises(UserError, match=message):
        parse_manifest(text, "here")


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "", "a\\..\\b", "C:/x", "manifest.json"])
def test_paths_may_not_leave_the_bundle(bundles, tmp_path, name):
    bundle = bundles.spair()
    path = edit(bundle, files={**bundle.manifest.files, name: "0" * 64})
    with pytest.raises(UserError, match=r"may not be in a bundle"):
        Bundle.open(path)
    with pytest.raises(UserError, match=r"may not be in a bundle"):
        write_bundle(tmp_path / "new.spair", bundle.manifest.raw, {name: b""})
    assert not (tmp_path / "new.spair").exists()


def test_links_may_not_leave_the_bundle_but_the_bundle_may_be_a_link(bundles, tmp_path):
    bundle = bundles.spair()
    (tmp_path / "link.spair").symlink_to(bundle.path)
    Bundle.open(tmp_path / "link.spair").graph("fp32", "net_l")
    secret = tmp_path / "secret"
    secret.write_bytes(bundles.net_l)
    (bundle.path / GRAPH).unlink()
    (bundle.path / GRAPH).symlink_to(secret)
    with pytest.raises(UserError, match=r"is a link to a file outside; export it again"):
        Bundle.open(bundle.path)


def test_missing_things_are_named(bundles, tmp_path):
    with pytest.raises(UserError, match=r"does not exist, expected a folder written by spair export"):
        Bundle.open(tmp_path / "none.spair")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"it is a file"):
        Bundle.open(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"has no manifest.json"):
        Bundle.open(tmp_path / "empty")
    bundle = bundles.spair()
    with pytest.raises(UserError, match=r"no fp16 graphs \(it has: fp32\); make them with: spair calibrate"):
        bundle.graph("fp16", "net_l")
    with pytest.raises(UserError, match=r"no fp32 graph 'model', only net_l, net_r"):
        bundle.graph("fp32", "model")
    with pytest.raises(UserError, match=r"lists no file 'x'"):
        bundle.file("x")
    (bundle.path / GRAPH).unlink()
    with pytest.raises(UserError, match=rf"incomplete: {GRAPH} is missing"):
        Bundle.open(bundle.path)


def test_a_changed_file_is_refused_before_use(bundles):
    bundle = bundles.spair()
    with (bundle.path / GRAPH).open("ab") as stream:
        stream.write(b"!")
    opened = Bundle.open(bundle.path)
    with pytest.raises(UserError, match=r"was changed: its SHA-256 is .* the manifest says .* export"):
        opened.graph("fp32", "net_l")
    assert opened.graph("fp32", "net_r").is_file()


def test_existing_bundles_are_only_replaced_by_force(bundles):
    bundle = bundles.spair()
    before = snapshot(bundle.path)
    with pytest.raises(UserError, match=r"it exists; add --force to replace it"):
        write_bundle(bundle.path, bundle.manifest.raw, {})
    assert snapshot(bundle.path) == before
    fields = {**bundle.manifest.raw, "graphs": {}, "task": "shadow"}
    replaced = write_bundle(bundle.path, fields, {"note.txt": b"hi"}, force=True)
    assert replaced.manifest.task == "shadow"
    assert set(snapshot(bundle.path)) == {"manifest.json", "note.txt"}
    assert [p.name for p in bundle.path.parent.iterdir()] == [bundle.path.name]


def test_only_bundles_and_empty_folders_are_ever_replaced(bundles, tmp_path):
    fields = bundles.other().manifest.raw
    files = {"graphs/fp32/model.onnx": bundles.foreign}
    home = tmp_path / "home"
    home.mkdir()
    write_bundle(home, fields, files)  # empty: fine
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match=r"neither empty nor a bundle .*choose another name"):
        write_bundle(precious, fields, files, force=True)
    with pytest.raises(UserError, match=r"a file or link of that name exists"):
        write_bundle(precious / "thesis.txt", fields, files, force=True)
    assert snapshot(precious) == {"thesis.txt": b"years of work"}


@pytest.mark.parametrize("fail_at", [1, 2])
def test_a_failed_replacement_leaves_the_old_bundle(bundles, monkeypatch, fail_at):
    bundle = bundles.spair()
    before, real, calls = snapshot(bundle.path), Path.rename, []

    def rename(self, target):
        calls.append(self)
        if len(calls) == fail_at:
            raise OSError(5, "Input/output error")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(UserError, match=r"cannot write the bundle .* Input/output error"):
        write_bundle(bundle.path, bundle.manifest.raw, bundle.contents(), force=True)
    assert snapshot(bundle.path) == before
    assert [p.name for p in bundle.path.parent.iterdir()] == [bundle.path.name]


def test_a_bad_manifest_is_not_written(bundles, tmp_path):
    with pytest.raises(UserError, match=r"cannot use the manifest to write"):
        write_bundle(tmp_path / "bad.spair", {"kind": "spair"}, {})
    assert list(tmp_path.iterdir()) == []


def test_extending_keeps_what_is_there(bundles):
    bundle = bundles.spair()
    graphs = {**bundle.manifest.graphs, "fp16": {"net_l": "graphs/fp16/net_l.onnx"}}
    extended = extend_bundle(bundle, {"graphs": graphs}, {"graphs/fp16/net_l.onnx": b"half"})
    assert extended.precisions == ("fp32", "fp16")
    assert extended.graph("fp16", "net_l").read_bytes() == b"half"
    assert extended.graph("fp32", "net_r").read_bytes() == bundles.net_r
    assert extended.manifest.task == "rain"


def test_extending_a_changed_bundle_is_refused(bundles):
    bundle = bundles.spair()
    (bundle.path / GRAPH).write_bytes(b"other")
    with pytest.raises(UserError, match=r"was changed"):
        extend_bundle(bundle, {}, {})


def test_a_moved_bundle_still_opens(bundles, tmp_path):
    shutil.copytree(bundles.spair().path, tmp_path / "elsewhere" / "copy.spair")
    assert Bundle.open(tmp_path / "elsewhere" / "copy.spair").graph("fp32", "net_l").is_file()


@pytest.mark.parametrize("manifest", ["x", "{}", None], ids=["no JSON", "somebody else's", "ours"])
def test_force_never_deletes_a_file_that_is_not_the_bundles(bundles, manifest):
    bundle = bundles.spair()
    (bundle.path / "keep.txt").write_text("precious")
    if manifest is not None:
        (bundle.path / MANIFEST).write_text(manifest)
    with pytest.raises(UserError, match="is not part of a bundle and would be lost"):
        check_target(bundle.path, force=True)
    assert (bundle.path / "keep.txt").read_text() == "precious"


def test_a_manifest_nested_beyond_reason_is_refused(bundles):
    bundle = bundles.spair()
    (bundle.path / MANIFEST).write_text("[" * 100_000)
    with pytest.raises(UserError, match="not JSON"):
        Bundle.open(bundle.path)
