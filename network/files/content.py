"""Recognition of checkpoint files by their content.

Suffixes say little: trainers write `.pth.tar`, `.bin` and `.PTH`, and a failed download leaves a page of HTML.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Literal

from ..errors import CheckpointError

Kind = Literal["safetensors", "torch"]
"""Reader that a file needs."""
HEAD = 4096
"""Bytes at the beginning of a file that are looked at."""

_ARCHIVE, _PICKLE = b"PK", b"\x80\x02"
"""Beginnings of what torch.save writes, today and formerly."""
_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (
        b"version https://git-lfs.github.com",
        "is a Git LFS pointer, which only names the weights; fetch them with: git lfs pull",
    ),
    (b"\x1f\x8b", "is compressed with gzip; unpack it first"),
    (b"BZh", "is compressed with bzip2; unpack it first"),
    (b"\xfd7zXZ\x00", "is compressed with xz; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive; unpack it first"),
    (b"Rar!", "is a RAR archive; unpack it first"),
    (b"\x89HDF\r\n\x1a\n", "is an HDF5 file, as Keras writes; give weights that PyTorch saved"),
    (b"GGUF", "is a GGUF file; give weights that PyTorch saved"),
    (b"\x93NUMPY", "is a NumPy array; give weights that PyTorch saved"),
    (b"MATLAB", "is a MATLAB file; give weights that PyTorch saved"),
)
"""Beginnings of files that are no checkpoints, and what to say of them."""
_PAGES = (b"<!doctype html", b"<html", b"<?xml", b"<head", b"<body")
_TAR = (257, b"ustar")
"""Position and bytes by which a tar archive is known."""


def recognise(path: Path) -> Kind:
    """Tell which reader a file needs.

    Only the beginning and, of an archive, the table of contents are read.

    Raises:
        CheckpointError: the path is no file or cannot be read, or its content is something else than a checkpoint,
            which is named: a Git LFS pointer, HTML, TorchScript, shards, a compressed archive and others.
    """
    if not path.is_file():
        raise CheckpointError(_describe_absence(path))
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}; check its permissions") from error
    if not head:
        raise CheckpointError(f"{path} is truncated: it has 0 bytes; copy or download it again")
    for beginning, words in _BEGINNINGS:
        if head.startswith(beginning):
            raise CheckpointError(f"{path} {words}")
    if head.lstrip().lower().startswith(_PAGES):
        raise CheckpointError(
            f"{path} is a page of HTML, probably of a failed download; download the file itself, not its page"
        )
    if head[_TAR[0] :].startswith(_TAR[1]):
        raise CheckpointError(f"{path} is a tar archive; unpack it first, or save the weights with torch.save again")
    if head.startswith(_ARCHIVE):
        _require_checkpoint(path)
        return "torch"
    if head.lstrip().startswith(b"{"):
        raise CheckpointError(_describe_text(path, head))
    return "safetensors" if _is_safetensors(path, head) else "torch"


def begins_as_weights(path: Path) -> bool:
    """Tell whether a file begins as weights, whatever its suffix."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return False
    return head.startswith((_ARCHIVE, _PICKLE)) or _is_safetensors(path, head)


def _is_safetensors(path: Path, head: bytes) -> bool:
    """Tell whether a file is meant as safetensors.

    Its eight bytes of length are followed by JSON. A damaged one is known by its suffix.
    """
    return head[8:9] == b"{" or path.suffix.lower() == ".safetensors"


def _describe_absence(path: Path) -> str:
    if not path.is_dir():
        return f"the checkpoint {path} does not exist or is not a file; give a .safetensors, .pt, .pth or .ckpt file"
    if any(path.glob("*.index.json")):
        return f"{path} is a folder of shards, which are not read; join them to one .safetensors file"
    if (path / "data.pkl").exists() or any(path.glob("*/data.pkl")):
        return f"{path} is an unpacked checkpoint; give the file that it was unpacked from"
    return f"the checkpoint {path} is a folder; give one of the files in it"


def _describe_text(path: Path, head: bytes) -> str:
    if b'"weight_map"' in head or path.name.endswith(".index.json"):
        return f"{path} is the index of shards, which are not read; join them to one .safetensors file"
    try:
        json.loads(path.read_text(encoding="utf-8") if path.stat().st_size <= HEAD else "{}")
    except (ValueError, RecursionError):
        return f"{path} is a text, not a checkpoint; give the file with the weights"
    return f"{path} is a JSON text, not a checkpoint; give the file with the weights"


def _require_checkpoint(path: Path) -> None:
    """Refuse a ZIP archive that is no checkpoint.

    PyTorch stores its records side by side and uncompressed, so a record that is compressed, or records that are
    larger together than their file, are a bomb or a packed file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is truncated or not a PyTorch checkpoint; copy or download it again") from error
    names = [record.filename for record in records]
    inside = [name.partition("/")[2] for name in names]
    if "constants.pkl" in inside or any(name.startswith("code/") for name in inside):
        raise CheckpointError(
            f"{path} is a TorchScript archive, which is code; save the state_dict() of what torch.jit.load "
            "returns with torch.save"
        )
    if "data.pkl" not in inside:
        shown = ", ".join(names[:3]) or "nothing"
        raise CheckpointError(f"{path} is a ZIP archive of other files ({shown}); unpack it first")
    packed = next((record for record in records if record.compress_type != zipfile.ZIP_STORED), None)
    if packed is not None:
        raise CheckpointError(
            f"{path} has a compressed record ({packed.filename}), which torch.save never writes and which is not "
            "unpacked; load and save it again with PyTorch if you trust it"
        )
    claimed = sum(record.file_size for record in records)
    if claimed > path.stat().st_size:
        raise CheckpointError(
            f"{path} claims {claimed} bytes of records in a file of {path.stat().st_size}; copy or download it again"
        )
