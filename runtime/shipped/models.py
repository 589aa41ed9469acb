"""List of the shipped weights.

The weights lie in the package `spair.network.weights`, whose folder is beside the one of the runtime in a clone and in
an installation. Only its files are read: importing that package would load torch.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError

FOLDER = Path(__file__).resolve().parents[2] / "network" / "weights"
"""Folder of the shipped weights, their model cards and templates."""
INDEX = "models.json"
"""File that lists the shipped weights: names, file stems, and scores of the model cards."""


@dataclass(frozen=True)
class ShippedModel:
    """Shipped weights, as the index lists them."""

    name: str
    """Short name for the command line: "rain"."""
    stem: str
    """Name of the files without suffix: "rain-tiny"."""
    scores: tuple[dict[str, Any], ...]
    """Scores of the model card: "pictures", "measure", "unit", "input" and "restored", and which is "better"."""

    @property
    def checkpoint(self) -> Path:
        """File of the weights."""
        return FOLDER / f"{self.stem}.safetensors"

    @property
    def template(self) -> Path:
        """File of the bundle without its weights."""
        return FOLDER / f"{self.stem}.template"

    @property
    def card(self) -> Path:
        """File of the model card."""
        return FOLDER / f"{self.stem}.md"


def list_models() -> tuple[ShippedModel, ...]:
    """Read the index of the shipped weights.

    Raises:
        UserError: this installation has no index, or a damaged one.
    """
    file = FOLDER / INDEX
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
        return tuple(ShippedModel(entry["name"], entry["file"], tuple(map(dict, entry["scores"]))) for entry in entries)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"cannot list the shipped weights: {error}; install spair-rt again, or give the path of a bundle"
        ) from error


def find_model(model: str | os.PathLike[str]) -> ShippedModel | None:
    """Return the shipped weights that a text names.

    A path that exists wins over a name.

    Returns:
        None for a path: one that exists, or a text that has a separator or a suffix.

    Raises:
        UserError: the text is a single word, but no path and no name of shipped weights; the message lists the names.
    """
    text = os.fspath(model)
    if not text or os.path.lexists(text) or Path(text).suffix or Path(text).name != text:
        return None
    models = list_models()
    for one in models:
        if one.name == text:
            return one
    raise UserError(
        f"there is no model {text}: neither a bundle or checkpoint of that path nor shipped weights of that name; "
        f"give a path, or one of {', '.join(one.name for one in models)}"
    )
