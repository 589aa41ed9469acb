"""Reader of checkpoints in the safetensors format.

It needs neither torch nor the package safetensors, so that a plain installation can read the shipped weights.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..bounds.values import parse_json
from ..errors import UserError

METADATA = "__metadata__"
"""Key of the file's texts among the tensors' entries."""
FLOAT32 = "F32"
"""Type of all tensors in the shipped weights."""


@dataclass(frozen=True)
class StoredTensors:
    """Checkpoint in memory, its tensors not yet taken apart."""

    path: Path
    data: bytes
    """Content of the file after the header."""
    entries: Mapping[str, Mapping[str, Any]]
    """Tensor -> its "dtype", "shape" and "data_offsets", the last in bytes of `data`."""
    metadata: Mapping[str, str]
    """Texts that the file carries: "task", "preset" and others."""

    @property
    def parameters(self) -> int:
        """Number of values in all tensors."""
        return sum(int(np.prod(entry["shape"], dtype=np.int64)) for entry in self.entries.values())

    def names(self) -> tuple[str, ...]:
        """Return the names of the tensors."""
        return tuple(self.entries)

    def read(self, name: str) -> np.ndarray:
        """Return one tensor, float32 in little-endian order.

        Raises:
            UserError: the file has no such tensor, another type, or less data than the tensor needs.
        """
        try:
            entry = self.entries[name]
            if entry["dtype"] != FLOAT32:
                raise ValueError(f"{name} is of type {entry['dtype']}, expected {FLOAT32}")
            start, stop = entry["data_offsets"]
            return np.frombuffer(self.data[start:stop], "<f4").reshape(entry["shape"])
        except (KeyError, ValueError, TypeError) as error:
            raise _damaged(self.path, error) from error


def read_tensors(path: Path) -> StoredTensors:
    """Read a checkpoint.

    Raises:
        UserError: the file is missing, or is not in the safetensors format.
    """
    try:
        content = path.read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        entries = parse_json(content[8 : 8 + length])
        metadata = entries.pop(METADATA, {})
        data = content[8 + length :]
        for name, entry in entries.items():
            _check_entry(name, entry, len(data))
    except (OSError, ValueError, KeyError, TypeError, struct.error, AttributeError) as error:
        raise _damaged(path, error) from error
    return StoredTensors(path, data, entries, metadata)


def _check_entry(name: str, entry: Mapping[str, Any], size: int) -> None:
    """Check that an entry describes bytes of the file."""
    start, stop = entry["data_offsets"]
    whole = all(isinstance(number, int) for number in (start, stop, *entry["shape"]))
    if not whole or not 0 <= start <= stop <= size:
        raise ValueError(f"the tensor {name} needs bytes {start} to {stop} and there are {size}")


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(f"cannot read the shipped weights {path}: {error}; install spair-rt again")
