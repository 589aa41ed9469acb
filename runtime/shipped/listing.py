"""Facts about the shipped weights, for people and for JSON."""

from __future__ import annotations

import json
from typing import Any

from ..errors import UserError
from ..files import sha256
from .models import ShippedModel, list_models
from .ready import has_bundle, locate_bundle
from .tensors import read_tensors


def describe_models() -> dict[str, Any]:
    """Return the JSON of `spair models`.

    Returns:
        {"models": [...]}, for each of the shipped weights: "name", "task", "preset", "parameters" (number of values),
        "bytes" and "sha256" of the file "checkpoint", the model card "card" and its "scores", the place "bundle" of the
        bundle in the cache (None where there is no cache folder), and "cached", whether it is there.

    Raises:
        UserError: a file of the shipped weights is missing or damaged.
    """
    return {"models": [_describe(model) for model in list_models()]}


def _describe(model: ShippedModel) -> dict[str, Any]:
    stored = read_tensors(model.checkpoint)
    try:
        preset = json.loads(stored.metadata["preset"])["name"]
        task = stored.metadata["task"]
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(
            f"cannot read the shipped weights {model.checkpoint}: no task or preset in them ({error}); "
            "install spair-rt again"
        ) from error
    try:
        bundle = locate_bundle(model)
    except UserError:  # listing needs no cache
        bundle = None
    return {
        "name": model.name,
        "task": task,
        "preset": preset,
        "parameters": stored.parameters,
        "bytes": model.checkpoint.stat().st_size,
        "sha256": sha256(model.checkpoint),
        "checkpoint": str(model.checkpoint),
        "card": str(model.card),
        "scores": [dict(score) for score in model.scores],
        "bundle": None if bundle is None else str(bundle),
        "cached": bundle is not None and has_bundle(model),
    }
