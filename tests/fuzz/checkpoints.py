"""Small checkpoints in the forms of safetensors and of PyTorch, and changes behind their checksums."""

from __future__ import annotations

import dataclasses
import io
import json
import random
import struct
import zipfile

import torch
from safetensors.torch import save

from spair.network import SPAIR, TINY
from tests.fuzz.mutations import mutate_bytes, mutate_json

SMALL = dataclasses.replace(
    TINY, name="small", local_channels=(2, 2, 2), channels=(2, 2, 2), pairs=(1, 1, 1), detail_channels=2,
    attention_channels=2, grid=2,
)  # fmt: skip


def make_checkpoints() -> list[bytes]:
    """Return the files: safetensors, a bare state dict as an archive, one of the older form, and a trainer's."""
    torch.manual_seed(0)
    state = SPAIR(SMALL).state_dict()
    metadata = {"format": "spair", "schema": "1", "preset": SMALL.to_json(), "task": "rain", "training": '{"step": 1}'}
    few = dict(list(state.items())[:3])
    return [
        save(state, metadata),
        _save(few),
        _save(few, _use_new_zipfile_serialization=False),
        _save({"state_dict": {f"model.{name}": value for name, value in few.items()}, "epoch": 3, "lr": [0.1]}),
    ]


def _save(content: object, **options: bool) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


def name_file(data: bytes) -> str:
    """Return the name that the file would have."""
    return "a.safetensors" if data[8:9] == b"{" else "a.pth"


def mutate_checkpoint(data: bytes, chance: random.Random) -> bytes:
    """Change bytes, or the header of safetensors, or a record of an archive whose checksum then fits."""
    if chance.random() < 0.3:
        return mutate_bytes(data, chance)
    if data.startswith(b"PK"):
        return _mutate_archive(data, chance)
    if data[8:9] == b"{":
        (size,) = struct.unpack("<Q", data[:8])
        header = mutate_json(data[8 : 8 + size], chance)
        if chance.random() < 0.3:  # the text of the preset lies inside of a text
            table = json.loads(data[8 : 8 + size])
            odd = mutate_json(table["__metadata__"]["preset"].encode(), chance).decode("utf-8", "replace")
            table["__metadata__"][chance.choice(("preset", "schema", "training"))] = odd
            header = json.dumps(table).encode()
        return struct.pack("<Q", len(header)) + header + data[8 + size :]
    return mutate_bytes(data, chance)


def _mutate_archive(data: bytes, chance: random.Random) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(target, "w") as changed:
        names = archive.namelist()
        chosen = next(n for n in names if n.endswith("data.pkl")) if chance.random() < 0.7 else chance.choice(names)
        for name in names:
            content = archive.read(name)
            kind = zipfile.ZIP_DEFLATED if name == chosen and chance.random() < 0.1 else zipfile.ZIP_STORED
            changed.writestr(name, mutate_bytes(content, chance) if name == chosen else content, kind)
    return target.getvalue()
