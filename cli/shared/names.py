"""Names of shipped weights, given where a model is expected."""

from __future__ import annotations

import re
from pathlib import Path

from .output import tell

_SERVED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Names that clients of a server may use."""


def read_model(text: str) -> Path:
    """Read a model's path or name from the command line.

    `Path` drops what tells the folder ./rain from the name rain, so a text with a separator becomes an absolute path
    where nothing else would be left of it.
    """
    path = Path(text)
    return path.absolute() if path.name == str(path) != text else path


def find_bundle(model: Path) -> Path:
    """Turn a name of shipped weights into a bundle's path.

    Other paths stay as they are. The bundle is made in the cache on first use, and a line on stderr says so. A path
    that exists wins over a name, and a line on stderr says that too.

    Raises:
        UserError: a single word that is neither a path nor a name; the cache cannot be written.
    """
    from ...runtime.shipped import resolve_model

    _note_path(model)
    return Path(resolve_model(model, announce=tell))


def find_checkpoint(model: Path) -> Path:
    """Turn a name of shipped weights into the checkpoint's path.

    Other paths stay as they are.

    Raises:
        UserError: a single word that is neither a path nor a name.
    """
    from ...runtime.shipped import find_model

    _note_path(model)
    shipped = find_model(model)
    return model if shipped is None else shipped.checkpoint


def name_models(arguments: list[str]) -> dict[str, Path]:
    """Give each model the name that clients use.

    Args:
        arguments: models, or NAME=MODEL.

    Returns:
        Name -> bundle, in the order given.

    Raises:
        UserError: a name is no name or is given twice, or a model is no bundle.
    """
    from ...runtime.errors import UserError, quote
    from ...serving.contract import BYTES_SUFFIX
    from .models import is_checkpoint

    named: dict[str, Path] = {}
    for argument in arguments:
        name, is_named, text = argument.partition("=")
        if not is_named or not _SERVED.fullmatch(name):
            name, text = "", argument
        model = read_model(text)
        name = name or re.sub(r"\.(spair|onnx)$", "", model.name)
        if not _SERVED.fullmatch(name) or name.endswith(BYTES_SUFFIX):
            raise UserError(
                f"{argument} would be served as {name!r}, expected letters, digits, '.', '_' and '-', and a name that "
                f"does not end with {BYTES_SUFFIX}; give NAME={text}"
            )
        if name in named:
            raise UserError(
                f"{named[name]} and {text} would both be served as {name}; give one another name: NAME={text}"
            )
        bundle = find_bundle(model)
        if is_checkpoint(bundle) and bundle.suffix != ".onnx":
            command = f"spair export {quote(model)} --out {name}.spair"
            raise UserError(f"{text} is no bundle; export the checkpoint first: {command}")
        named[name] = bundle
    return named


def refuse_name(model: Path, verb: str) -> None:
    """Refuse a name where a verb writes into the bundle.

    The bundle of shipped weights in the cache is shared by everything that this user runs, and may be removed at any
    time.

    Raises:
        UserError: the model is such a name, or the path of such a bundle.
    """
    from ...runtime.cache import is_shared_bundle
    from ...runtime.errors import UserError, quote

    if model.exists() and is_shared_bundle(model):
        raise UserError(
            f"spair {verb} writes into a bundle, and {model} in the cache stays as it is; make a bundle of your own "
            "first: spair export rain --out rain.spair, with the name of the shipped weights in place of rain"
        )
    if not model.exists() and _is_name(model):
        raise UserError(
            f"spair {verb} writes into a bundle, and {model} names shipped weights, whose bundle in the cache stays as "
            f"it is; make a bundle of your own first: spair export {quote(model)} --out {quote(f'{model}.spair')}"
        )


def _note_path(model: Path) -> None:
    if model.exists() and _is_name(model):
        tell(f"note: {model} is taken as the path here, not as the shipped weights of that name")


def _is_name(model: Path) -> bool:
    from ...runtime.errors import UserError
    from ...runtime.shipped import list_models

    try:
        return str(model) in {one.name for one in list_models()}
    except UserError:  # an installation without the weights, on which paths work all the same
        return False
