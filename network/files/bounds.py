"""Bounds on tensors, checked before anything is computed with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import CheckpointError

MOST_CHARACTERS = 1_000_000
"""Characters of the longest JSON text in a file's metadata."""


def require_plain(state: Mapping[str, Tensor], path: Path) -> None:
    """Refuse tensors that are not plain numbers in memory.

    Only looks at what describes a tensor. A view of a few numbers may claim a size of terabytes, by strides of 0.

    Raises:
        CheckpointError: a tensor is sparse, quantized, complex, nested, without content (on the meta device), or a view
            that repeats numbers; the message names the first.
    """
    for name, value in state.items():
        reason = _find_reason(value)
        if reason is not None:
            raise CheckpointError(
                f"{path} holds a tensor {name} that {reason}; save plain tensors, as model.state_dict() has them"
            )


def _find_reason(value: Tensor) -> str | None:
    if value.device.type != "cpu":
        return f"has no content here (device {value.device.type})"
    if value.is_quantized:
        return "is quantized"
    if value.layout != torch.strided or value.is_nested:
        return "is sparse or nested"
    if value.is_complex():
        return "is complex"
    held = value.untyped_storage().nbytes()
    if value.numel() * value.element_size() > held:
        return f"has {value.numel()} numbers in {held} bytes, a view that repeats them"
    return None


def parse_metadata(text: str) -> Any:
    """Parse a JSON text of a file's metadata.

    Raises:
        ValueError: it is not JSON, nested too deep, too long, or holds half a character, which no message can repeat.
    """
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"it has {len(text)} characters")
    try:
        values = json.loads(text)
        json.dumps(values, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    except UnicodeEncodeError as error:
        raise ValueError("it holds half a character") from error
    return values
