"""Names of files that are no checkpoints."""

import json
import tarfile
import zipfile

import pytest
import torch

from spair.network import CheckpointError
from spair.network.files.content import begins_as_weights, recognise


def zipped(path, records, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in records.items():
            archive.writestr(name, data)


@pytest.mark.parametrize("name", ["a.pth", "a.pth.tar", "a.bin", "a.PTH", "a", "a.safetensors"])
def test_torchs_files_are_known_under_any_suffix(tmp_path, name):
    for zip_form in (True, False):
        torch.save({"a": torch.zeros(1)}, tmp_path / name, _use_new_zipfile_serialization=zip_form)
        assert recognise(tmp_path / name) == "torch" or (name == "a.safetensors" and not zip_form)


@pytest.mark.parametrize("name", ["a.safetensors", "a.SAFETENSORS", "a.bin", "a"])
def test_safetensors_are_known_under_any_suffix(tmp_path, name):
    (tmp_path / name).write_bytes((2).to_bytes(8, "little") + b"{}")
    assert recognise(tmp_path / name) == "safetensors"


def test_beginnings_of_weights_are_those_of_files_that_are_recognised(tmp_path):
    path = tmp_path / "a"
    for zip_form in (True, False):
        torch.save({"a": torch.zeros(1)}, path, _use_new_zipfile_serialization=zip_form)
        assert begins_as_weights(path) and recognise(path) == "torch"
    path.write_bytes((2).to_bytes(8, "little") + b"{}")
    assert begins_as_weights(path) and recognise(path) == "safetensors"
    for data in (b"", b"words", b'{"a": 1}', b"\x89PNG\r\n\x1a\n"):
        path.write_bytes(data)
        assert not begins_as_weights(path)
    assert not begins_as_weights(tmp_path / "absent")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "Git LFS pointer, .* git lfs pull"),
        (b"\n<!DOCTYPE HTML><p>Quota exceeded", "page of HTML"),
        (b"\x1f\x8b\x08\x00", "compressed with gzip; unpack"),
        (b"\x89HDF\r\n\x1a\n\0", "HDF5"),
        (b'{"error": "not found"}', "a JSON text"),
        (b"{broken", "a text, not a checkpoint"),
        (json.dumps({"weight_map": {"a": "a-1.safetensors"}}).encode(), "index of shards"),
        (b"", "truncated"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value,
)
def test_other_files_are_named_for_what_they_are(tmp_path, data, words, suffix):
    (tmp_path / f"a{suffix}").write_bytes(data)
    with pytest.raises(CheckpointError, match=words):
        recognise(tmp_path / f"a{suffix}")


def test_archives_that_are_no_checkpoints_are_named(tmp_path):
    path = tmp_path / "a.pth"
    zipped(path, {"a/data.pkl": b"", "a/constants.pkl": b"", "a/code/net.py": b""})
    with pytest.raises(CheckpointError, match="TorchScript archive, which is code"):
        recognise(path)
    zipped(path, {"weights/net.pth": b"x"})
    with pytest.raises(CheckpointError, match=r"ZIP archive of other files \(weights/net.pth\)"):
        recognise(path)
    with tarfile.open(path, "w") as archive:
        archive.add(__file__, "net.pth")
    with pytest.raises(CheckpointError, match="tar archive"):
        recognise(path)


def test_a_compressed_record_is_refused_before_it_is_unpacked(tmp_path):
    records = {"a/data.pkl": b"\x80\x02}.", "a/data/0": bytes(1_000_000)}
    zipped(tmp_path / "bomb.pth", records, zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match=r"compressed record \(a/data.pkl\)"):
        recognise(tmp_path / "bomb.pth")


def test_records_larger_than_their_file_are_refused(tmp_path):
    zipped(tmp_path / "a.pth", {"a/data.pkl": b"\x80\x02}.", "a/data/0": b"0123456789"})
    data = (tmp_path / "a.pth").read_bytes()
    (tmp_path / "a.pth").write_bytes(data.replace((10).to_bytes(4, "little") * 2, (1 << 30).to_bytes(4, "little") * 2))
    with pytest.raises(CheckpointError, match="claims 1073741828 bytes"):
        recognise(tmp_path / "a.pth")


def test_folders_are_named(tmp_path):
    with pytest.raises(CheckpointError, match="is a folder; give one of the files"):
        recognise(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(CheckpointError, match="folder of shards"):
        recognise(tmp_path)
    with pytest.raises(CheckpointError, match="does not exist"):
        recognise(tmp_path / "none")
