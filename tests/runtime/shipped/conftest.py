"""Small checkpoints in the safetensors format, and a cache of a test's own."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest

TENSORS = {
    "conv.weight": np.arange(4 * 3 * 3 * 3, dtype="<f4").reshape(4, 3, 3, 3),
    "conv.bias": np.linspace(-1.0, 1.0, 40, dtype="<f4"),
    "scale": np.array([0.5], "<f4"),
}


def write_checkpoint(path: Path, tensors: dict[str, np.ndarray] = TENSORS, dtype: str = "F32") -> Path:
    """Write a file as the format's specification has it: length, header in JSON, data."""
    header: dict[str, object] = {"__metadata__": {"task": "rain"}}
    data = b""
    for name, tensor in tensors.items():
        offsets = [len(data), len(data) + tensor.nbytes]
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": offsets}
        data += tensor.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "small.safetensors")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, which does not exist yet."""
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
