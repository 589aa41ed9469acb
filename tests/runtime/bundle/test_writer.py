"""Bundles are written whole or not at all, and replace nothing but bundles."""

import errno
import hashlib
import os
from pathlib import Path

import pytest

from spair.runtime import UserError
from spair.runtime import files as file_tools
from spair.runtime.bundle import writer
from spair.runtime.bundle.reader import MANIFEST
from spair.runtime.bundle.writer import check_extendable, check_target, extend_bundle, write_bundle
from spair.temporary.names import BACKUP, TEMPORARY
from tests.runtime.bundle.samples import GRAPH, snapshot
from tests.temporary.dead import left_by_the_dead


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
    monkeypatch.setattr(file_tools, "exchange_names", lambda first, second: False)  # as on other systems

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


def test_a_failed_exchange_leaves_the_old_bundle(bundles, monkeypatch):
    bundle = bundles.spair()
    before = snapshot(bundle.path)

    def refuse(first, second):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(file_tools, "exchange_names", refuse)
    with pytest.raises(UserError, match=r"cannot write the bundle .* Read-only file system"):
        write_bundle(bundle.path, bundle.manifest.raw, bundle.contents(), force=True)
    assert snapshot(bundle.path) == before
    assert [p.name for p in bundle.path.parent.iterdir()] == [bundle.path.name]


def test_a_bundle_that_a_killed_writer_took_away_comes_back(bundles):
    bundle = bundles.spair()
    before = snapshot(bundle.path)
    taken, half = (left_by_the_dead(bundle.path, kind) for kind in (BACKUP, TEMPORARY))
    mine = bundle.path.with_name(f".{bundle.path.name}.notes.tmp")
    bundle.path.rename(taken)
    half.mkdir()
    mine.mkdir()
    with pytest.raises(UserError, match=r"it exists; add --force to replace it"):
        write_bundle(bundle.path, bundle.manifest.raw, {})
    assert snapshot(bundle.path) == before
    assert {path.name for path in bundle.path.parent.iterdir()} == {bundle.path.name, mine.name}


def test_a_bad_manifest_is_not_written(bundles, tmp_path):
    with pytest.raises(UserError, match=r"cannot use the manifest to write"):
        write_bundle(tmp_path / "bad.spair", {"kind": "spair"}, {})
    assert list(tmp_path.iterdir()) == []


def test_extending_keeps_what_is_there(bundles):
    bundle = bundles.spair()
    graphs = {**bundle.manifest.graphs, "fp16": {"net_l": "graphs/fp16/net_l.onnx"}}
    extended = extend_bundle(bundle, {"graphs": graphs}, {"graphs/fp16/net_l.onnx": b"half"})
    assert extended.precisions == ("fp32", "fp16")
    assert extended.file("graphs/fp16/net_l.onnx").read_bytes() == b"half"
    assert extended.graph("fp32", "net_r").read_bytes() == bundles.net_r
    assert extended.manifest.task == "rain"


def test_extending_a_changed_bundle_is_refused(bundles):
    bundle = bundles.spair()
    (bundle.path / GRAPH).write_bytes(b"other")
    with pytest.raises(UserError, match=r"was changed"):
        extend_bundle(bundle, {}, {})


@pytest.mark.parametrize("manifest", ["x", "{}", None], ids=["no JSON", "somebody else's", "ours"])
def test_force_never_deletes_a_file_that_is_not_the_bundles(bundles, manifest):
    bundle = bundles.spair()
    (bundle.path / "keep.txt").write_text("precious")
    if manifest is not None:
        (bundle.path / MANIFEST).write_text(manifest)
    with pytest.raises(UserError, match="is not part of a bundle and would be lost"):
        check_target(bundle.path, force=True)
    assert (bundle.path / "keep.txt").read_text() == "precious"


@pytest.mark.parametrize("damage", [b"", b"{", b'{"schema": 1, "fil', b"\xff\xfe", b'{"schema": 1}'])
def test_a_bundle_whose_manifest_is_damaged_can_be_exported_again(bundles, damage):
    bundle = bundles.spair()
    (bundle.path / MANIFEST).write_bytes(damage)
    with pytest.raises(UserError, match="add --force to replace it"):
        check_target(bundle.path, force=False)
    write_bundle(bundle.path, {**bundle.manifest.raw, "graphs": {}}, {"note.txt": b"hi"}, force=True)
    assert set(snapshot(bundle.path)) == {MANIFEST, "note.txt"}


@pytest.mark.parametrize("name", ["graphs/fp32/thesis.onnx", "graphs/mine/model.onnx", "model.onnx", "rows.json"])
def test_a_damaged_manifest_gives_no_file_away_that_no_bundle_has(bundles, name):
    bundle = bundles.spair()
    (bundle.path / MANIFEST).write_text("{")
    (bundle.path / name).parent.mkdir(parents=True, exist_ok=True)
    (bundle.path / name).write_text("precious")
    with pytest.raises(UserError, match=rf"{name} in it is not part of a bundle .*; move that file away"):
        check_target(bundle.path, force=True)


def test_contents_are_bytes_or_copies_of_files_and_hashed_alike(bundles, tmp_path):
    (tmp_path / "source").write_bytes(bundles.foreign)
    fields = {**bundles.other().manifest.raw, "files": {"a lie": "0" * 64}, "schema": 99}
    given = {"graphs/fp32/model.onnx": tmp_path / "source", "deep/er/copy": bundles.foreign, "empty": b""}
    manifest = write_bundle(tmp_path / "new.spair", fields, given).manifest
    hashes = {name: hashlib.sha256(b"" if name == "empty" else bundles.foreign).hexdigest() for name in given}
    assert manifest.files == hashes, "the writer fills in the hashes itself"
    assert manifest.raw["schema"] == 1
    assert (tmp_path / "source").read_bytes() == bundles.foreign


def test_a_missing_parent_is_made_and_a_missing_source_leaves_nothing(bundles, tmp_path):
    fields = bundles.other().manifest.raw
    target = tmp_path / "new" / "folder" / "a.spair"
    with pytest.raises(UserError, match=r"cannot write the bundle .*a\.spair: No such file"):
        write_bundle(target, fields, {"graphs/fp32/model.onnx": tmp_path / "absent"})
    assert list(target.parent.iterdir()) == []
    write_bundle(target, fields, {"graphs/fp32/model.onnx": bundles.foreign})
    assert [path.name for path in target.parent.iterdir()] == ["a.spair"]


def test_tables_are_merged_key_by_key_and_other_entries_replaced(bundles):
    bundle = bundles.spair()
    first = extend_bundle(bundle, {"targets": {"l4": {"a": 1, "b": 2}, "rtx": {}}, "note": {"x": 1}}, {})
    raw = extend_bundle(first, {"targets": {"l4": {"c": 3}}, "note": "text", "task": "shadow"}, {}).manifest.raw
    assert raw["targets"] == {"l4": {"c": 3}, "rtx": {}}
    assert (raw["note"], raw["task"], raw["kind"]) == ("text", "shadow", "spair")


def test_values_that_are_not_json_numbers_are_not_written(bundles, tmp_path):
    fields = {**bundles.other().manifest.raw, "parity": {"max_abs": float("nan")}}
    with pytest.raises(ValueError, match="JSON compliant"):
        write_bundle(tmp_path / "nan.spair", fields, {"graphs/fp32/model.onnx": bundles.foreign})
    assert not (tmp_path / "nan.spair").exists()


def test_a_place_that_cannot_be_written_is_found_before_any_work(bundles, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file is not a folder; choose another name"):
        check_target(tmp_path / "file" / "new.spair", force=False)
    monkeypatch.setattr(os, "access", lambda path, mode: not (mode & os.W_OK and path == tmp_path))
    with pytest.raises(UserError, match=r"the folder .* cannot be written; give a place that can be written"):
        check_target(tmp_path / "deep" / "new.spair", force=False)


@pytest.mark.parametrize("name", [".DS_Store", "graphs/Thumbs.db"])
def test_a_bundle_that_could_not_be_replaced_is_refused_before_long_work(bundles, name):
    bundle = bundles.spair()
    check_extendable(bundle)
    assert [path.name for path in bundle.path.parent.iterdir()] == [bundle.path.name]
    (bundle.path / name).touch()
    with pytest.raises(UserError, match=rf"{name} in it is not part of a bundle and would be lost"):
        check_extendable(bundle)


def test_a_read_only_folder_is_refused_before_long_work(bundles, monkeypatch):
    bundle = bundles.spair()

    def refuse(place):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(writer, "place_beside", refuse)
    with pytest.raises(UserError, match="cannot write beside the bundle .*: Read-only file system; copy it to a"):
        check_extendable(bundle)
