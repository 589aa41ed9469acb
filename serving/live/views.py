"""Views by the names of the command line."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ...runtime.errors import UserError
from ...runtime.live.sources.addresses import SourceName, hide_secrets, parse_source

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_EXAMPLE = "yard=rtsp://192.168.1.7:554/stream"


@dataclass(frozen=True)
class View:
    """Camera or stream with the model that restores it."""

    name: str
    """Last part of its path, /live/NAME."""
    model: str
    source: SourceName


def read_views(texts: Sequence[str], models: Collection[str]) -> tuple[View, ...]:
    """Read the views of a command line.

    Args:
        texts: NAME=SOURCE for the first model, or NAME:MODEL=SOURCE.
        models: names of the models that are served, the first one first.

    Raises:
        UserError: a name or a source is none, a name is given twice, or the model is not served.
    """
    views: dict[str, View] = {}
    for text in texts:
        view = _read_view(text, models)
        if view.name in views:
            raise UserError(f"--live names {view.name} twice; give each camera or stream a name of its own")
        views[view.name] = view
    return tuple(views.values())


def _read_view(text: str, models: Collection[str]) -> View:
    names, is_named, address = text.partition("=")
    name, colon, model = names.partition(":")
    if not is_named or not _NAME.fullmatch(name):
        shown = hide_secrets(text) if not is_named else f"{names}={hide_secrets(address)}"
        raise UserError(
            f"--live {shown} does not begin with a name of letters, digits, '.', '_' and '-'; write it as {_EXAMPLE}"
        )
    if colon and model not in models:
        raise UserError(f"--live {names} is for the model {model!r}, and served are {', '.join(models)}")
    source = parse_source(address)
    if source is None or source.kind == "pipe":
        raise UserError(
            f"--live {name} shows {hide_secrets(address)!r}, expected a camera or a stream, which can be opened again; "
            f"write it as {_EXAMPLE} or yard=camera:0"
        )
    return View(name, model if colon else next(iter(models)), source)
