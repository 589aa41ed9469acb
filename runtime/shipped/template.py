"""Templates, which are bundles without their weights.

The graphs of a bundle are its checkpoint's weights with little around them. A template holds only that little: the
bundle's manifest, and for each graph the bytes between the weights. Filled in from the checkpoint, it gives back the
graphs that were exported, byte for byte, as the hashes in its manifest prove. That takes neither torch nor onnx.

A template file is a zlib stream of three parts: the length of a header in 8 bytes (little-endian), the header in JSON,
and the literal bytes of all graphs. The header has "manifest", and "graphs" with a list of stretches
`[literal bytes, tensor, view]` for each file. `spair.export.templates` makes template files.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..bounds.values import parse_json
from ..errors import UserError
from .tensors import StoredTensors


class Stretch(NamedTuple):
    """Literal bytes of a graph's file, and the tensor behind."""

    literal: int
    """Number of literal bytes before the tensor."""
    tensor: str | None
    """Tensor of the checkpoint that follows; None at the end of a file."""
    view: tuple[int, ...] | None
    """Shape that the tensor is seen in before its axes are reversed, as packed graphs store it; None for as it is."""


@dataclass(frozen=True)
class Template:
    """Bundle without its weights."""

    manifest: Mapping[str, Any]
    """Manifest of the exported bundle, hashes included."""
    graphs: Mapping[str, Sequence[Stretch]]
    """File of the bundle -> its stretches in order."""
    literals: bytes
    """Literal bytes of all stretches, one after the other."""

    def to_bytes(self) -> bytes:
        """Return the content of a template file."""
        graphs = {name: [list(stretch) for stretch in stretches] for name, stretches in self.graphs.items()}
        header = json.dumps({"manifest": self.manifest, "graphs": graphs}, separators=(",", ":")).encode()
        return zlib.compress(struct.pack("<Q", len(header)) + header + self.literals, 9)


def read_template(path: Path) -> Template:
    """Read a template file.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        content = zlib.decompress(path.read_bytes())
        (length,) = struct.unpack("<Q", content[:8])
        header = parse_json(content[8 : 8 + length])
        graphs = {
            name: [
                Stretch(literal, tensor, None if view is None else tuple(view)) for literal, tensor, view in stretches
            ]
            for name, stretches in header["graphs"].items()
        }
        return Template(header["manifest"], graphs, content[8 + length :])
    except (OSError, zlib.error, struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"cannot read the template {path}: {error}; install spair-rt again") from error


def fill_template(template: Template, tensors: StoredTensors) -> dict[str, bytes]:
    """Put weights into a template.

    Returns:
        File of the bundle -> its bytes, equal to the exported ones.

    Raises:
        UserError: the weights are not those that the template was made from.
    """
    try:
        files = _fill(template, tensors)
        wrong = [name for name, content in files.items() if not _is_exported(template, name, content)]
    except (
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
    ) as error:  # weights of other shapes; a template with other entries
        raise _misfit(tensors, str(error)) from error
    if wrong:
        raise _misfit(tensors, f"{wrong[0]} would not be as it was exported")
    return files


def _fill(template: Template, tensors: StoredTensors) -> dict[str, bytes]:
    files, place = {}, 0
    for name, stretches in template.graphs.items():
        parts: list[bytes] = []
        for stretch in stretches:
            parts.append(template.literals[place : place + stretch.literal])
            place += stretch.literal
            if stretch.tensor is not None:
                parts.append(arrange(tensors.read(stretch.tensor), stretch.view).tobytes())
        files[name] = b"".join(parts)
    return files


def _is_exported(template: Template, name: str, content: bytes) -> bool:
    return hashlib.sha256(content).hexdigest() == template.manifest["files"].get(name)


def _misfit(tensors: StoredTensors, reason: str) -> UserError:
    return UserError(
        f"the weights {tensors.path} do not fit their template: {reason}; install spair-rt again, or in a clone run: "
        "make templates"
    )


def arrange(tensor: np.ndarray, view: tuple[int, ...] | None) -> np.ndarray:
    """Return a tensor in the order of a graph's file.

    See `Stretch.view`.
    """
    return tensor if view is None else np.ascontiguousarray(tensor.reshape(view).transpose())
