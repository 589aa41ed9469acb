"""Reading of training configurations.

Everything that is wrong with a file is one sentence, before anything starts.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from ..runtime.errors import UserError
from .config import TrainingConfig
from .data.config import Section
from .data.roots import RUNS, Places

CONFIGS = Path(__file__).resolve().parent / "configs"
"""Folder of the shipped configurations."""


def load_config(path: Path, given: Mapping[str, Path] | None = None, *, runs: Path = Path(RUNS)) -> TrainingConfig:
    """Read and check a run's configuration.

    Its paths stay as written; `Data.locate` makes them absolute.

    Args:
        path: a TOML file, a YAML file (suffix .yaml or .yml), or the name of a shipped configuration.
        given: folders for data roots of the configuration, by name.
        runs: folder of all runs.

    Raises:
        UserError: the file is missing, cannot be parsed, or has unknown, missing or out-of-range entries (the first is
            named); or a folder is given for an unknown data root.
    """
    path = find_config(path)
    content = _parse(path)
    if not isinstance(content, dict):
        got = "nothing" if content is None else f"a {type(content).__name__}"
        raise UserError(f"{path} holds {got}, expected named entries such as task and stages; see {CONFIGS}")
    try:
        config = TrainingConfig.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{path}: {_describe(error)}; correct it") from error
    places = Places(path.resolve().parent, dict(given or {}), runs)
    try:
        places.check_names([*config.data.list_paths(), *([config.start] if config.start else [])], config.data.roots)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return config.model_copy(update={"data": config.data.at(places)})


def list_configs() -> list[str]:
    """Return the names of the shipped configurations, sorted."""
    return sorted(path.stem for path in CONFIGS.glob("*.toml"))


def find_config(path: Path) -> Path:
    """Find the file of a configuration.

    Args:
        path: the file, or the name of a shipped configuration such as `quickstart`.

    Raises:
        UserError: there is no such file and no shipped configuration of this name.
    """
    if path.is_file():
        return path
    if path.name == str(path) and path.name in list_configs():
        return CONFIGS / f"{path.name}.toml"
    what = "is a folder, expected a file" if path.is_dir() else "does not exist"
    names = ", ".join(list_configs())
    raise UserError(f"training configuration {path} {what}; give a TOML or YAML file, or one of the names {names}")


def _parse(path: Path) -> Any:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    import yaml

    form = "YAML" if path.suffix.lower() in {".yaml", ".yml"} else "TOML"
    try:
        text = path.read_text(encoding="utf-8")
        return yaml.safe_load(text) if form == "YAML" else tomllib.loads(text)
    except (tomllib.TOMLDecodeError, yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is not valid {form}: {reason}; correct that line") from error


def _describe(error: ValidationError) -> str:
    # a tuple with a wrong item is also called too short, since only the right ones count
    errors = [part for part in error.errors() if not (part["type"] == "too_short" and part["input"])]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    first: dict[str, Any] = dict(errors[0])
    where = ".".join(map(str, first["loc"]))
    return f"{where}{': ' if where else ''}{_reason(first)}{more}"  # no place: the whole file


def _reason(error: dict[str, Any]) -> str:
    """Describe an error in the words of the file."""
    section, given = _section_of(error["loc"][:-1]), error["input"]
    if error["type"] == "extra_forbidden" and section is not None:
        close = difflib.get_close_matches(str(error["loc"][-1]), section.model_fields, 1)
        advice = f"did you mean {close[0]}?" if close else "expected"
        return f"unknown entry; {advice} {'(known: ' if close else ''}{_names(section)}{')' if close else ''}"
    if error["type"] == "missing":
        return "this entry is missing"
    if error["type"] == "model_type":
        wanted = _section_of(error["loc"])
        return f"expected a table{f' with {_names(wanted)}' if wanted else ''}, got {given!r}"
    if error["type"] == "tuple_type":
        got = "one table: in TOML a list of tables has its name in [[ ]]" if isinstance(given, dict) else repr(given)
        return f"expected a list, got {got}"
    shown = "" if isinstance(given, dict) else f", got {given!r}"  # a whole table says nothing
    return f"{error['msg'].removeprefix('Value error, ')}{shown}"


def _names(section: type[Section]) -> str:
    return ", ".join(section.model_fields)


def _section_of(place: Iterable[str | int]) -> type[Section] | None:
    """Return the kind of table at a place, or None.

    A place is a tuple such as ("stages", 0).
    """
    annotation: Any = TrainingConfig
    for part in place:
        if isinstance(part, int):  # the section in an annotation of a list is found below
            continue
        if get_origin(annotation) is dict:
            annotation = get_args(annotation)[1]
            continue
        section = _find_section(annotation)
        field = None if section is None else section.model_fields.get(part)
        annotation = None if field is None else field.annotation
    return None if get_origin(annotation) is dict else _find_section(annotation)


def _find_section(annotation: Any) -> type[Section] | None:
    """Return the section inside an annotation, or None.

    An annotation is a type such as `tuple[PairFolders, ...]`.
    """
    if parts := get_args(annotation):
        return next((found for part in parts if (found := _find_section(part))), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, Section) else None
