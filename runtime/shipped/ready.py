"""Bundles of shipped weights in the user's cache."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from ..bundle.lock import lock_bundle
from ..bundle.reader import Bundle
from ..bundle.writer import write_bundle
from ..cache import models_folder
from ..errors import UserError
from ..files import sha256
from .models import ShippedModel, find_model
from .template import fill_template, read_template
from .tensors import read_tensors

DIGITS = 12
"""Number of hexadecimal digits of a template's hash in a bundle's name."""


def resolve_model(
    model: str | os.PathLike[str], announce: Callable[[str], None] = lambda sentence: None
) -> str | os.PathLike[str]:
    """Turn a name of shipped weights into a bundle's path.

    Paths stay as they are.

    Args:
        model: a path, or a name such as "rain"; see `find_model`.
        announce: called with a sentence when a bundle was made; see `make_ready`.

    Raises:
        UserError: see `find_model` and `make_ready`.
    """
    shipped = find_model(model)
    return model if shipped is None else make_ready(shipped, announce)


def has_bundle(model: ShippedModel) -> bool:
    """Tell whether the cache has a bundle of shipped weights.

    Raises:
        UserError: there is no template, or no cache folder.
    """
    return locate_bundle(model).is_dir()


def locate_bundle(model: ShippedModel) -> Path:
    """Return the place of a bundle in the cache.

    Its name has the hash of the template. That decides the bundle: the template names the SHA-256 of the weights and of
    every graph, the toolkit's version and those of the exporter's packages.

    Raises:
        UserError: there is no template, or no cache folder.
    """
    try:
        digest = sha256(model.template)
    except OSError as error:
        raise UserError(f"cannot read the template {model.template}: {error}; install spair-rt again") from error
    return models_folder() / f"{model.stem}-{digest[:DIGITS]}.spair"


def make_ready(model: ShippedModel, announce: Callable[[str], None] = lambda sentence: None) -> Path:
    """Return the bundle of shipped weights from the cache.

    On first use it is made there of the template and the weights. Processes that ask at the same time wait for the
    first one; a bundle that was damaged is made again.

    Args:
        model: the shipped weights.
        announce: called with a sentence that names the place when a bundle was made.

    Raises:
        UserError: the installation is damaged, or the cache cannot be written.
    """
    path = locate_bundle(model)
    if _is_whole(path):
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A lock beside the one that the writer takes for the bundle itself: looking and making must be one step.
        with lock_bundle(path.with_suffix(".making")):
            if not _is_whole(path):
                _make(model, path)
                announce(f"made the bundle of {model.name}, once, from the shipped weights: {path}")
    except OSError as error:
        raise _no_cache(model, error) from error
    return path


def _is_whole(path: Path) -> bool:
    """Tell whether a bundle is there and unchanged."""
    try:
        Bundle.open(path).contents()
    except (UserError, OSError):
        return False
    return True


def _make(model: ShippedModel, path: Path) -> None:
    template = read_template(model.template)
    files = fill_template(template, read_tensors(model.checkpoint))
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)  # damaged: the writer replaces only what it can recognize as a bundle
    else:
        path.unlink(missing_ok=True)
    write_bundle(path, template.manifest, files)


def _no_cache(model: ShippedModel, error: Exception) -> UserError:
    return UserError(
        f"cannot keep the bundle of {model.name} in the cache: {error}; set SPAIR_CACHE to a folder that can be written"
    )
