"""Names of shipped weights, given where a model is expected."""

from __future__ import annotations

from pathlib import Path

import typer


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
    return Path(resolve_model(model, announce=lambda sentence: typer.echo(sentence, err=True)))


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


def refuse_name(model: Path, verb: str) -> None:
    """Refuse a name where a verb writes into the bundle.

    The bundle of shipped weights in the cache is shared by everything that this user runs, and may be removed at any
    time.

    Raises:
        UserError: the model is such a name, or the path of such a bundle.
    """
    from ...runtime.cache import is_shared_bundle
    from ...runtime.errors import UserError

    if model.exists() and is_shared_bundle(model):
        raise UserError(
            f"spair {verb} writes into a bundle, and {model} in the cache stays as it is; make a bundle of your own "
            "first: spair export rain --out rain.spair, with the name of the shipped weights in place of rain"
        )
    if not model.exists() and _is_name(model):
        raise UserError(
            f"spair {verb} writes into a bundle, and {model} names shipped weights, whose bundle in the cache stays as "
            f"it is; make a bundle of your own first: spair export {model} --out {model}.spair"
        )


def _note_path(model: Path) -> None:
    if model.exists() and _is_name(model):
        typer.echo(f"note: {model} is taken as the path here, not as the shipped weights of that name", err=True)


def _is_name(model: Path) -> bool:
    from ...runtime.errors import UserError
    from ...runtime.shipped import list_models

    try:
        return str(model) in {one.name for one in list_models()}
    except UserError:  # an installation without the weights, on which paths work all the same
        return False
