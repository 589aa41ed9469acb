"""Read a run's TOML or YAML file: everything wrong with it is one sentence before anything starts."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from ..runtime.errors import UserError
from .config import TrainingConfig
from .data.config import Section


def load_config(path: Path) -> TrainingConfig:
    """Read and check a run's configuration, TOML or (by its suffix .yaml, .yml) YAML.

    Its paths stay as written, `Data.locate` makes them absolute.

    Raises:
        UserError: the file is missing, cannot be parsed, or has unknown, missing or out-of-range entries (the first is
            named).
    """
    if not path.is_file():
        what = "is a folder, expected a file" if path.is_dir() else "does not exist"
        raise UserError(f"training configuration {path} {what}; see training/configs for examples")
    content = _parse(path)
    if not isinstance(content, dict):
        given = "nothing" if content is None else f"a {type(content).__name__}"
        raise UserError(f"{path} holds {given}, expected named entries such as task and stages; see training/configs")
    try:
        config = TrainingConfig.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{path}: {_describe(error)}; correct it") from error
    config.data._root = path.resolve().parent
    return config


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
    """What is wrong, in the words of the file rather than those of Python."""
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
    """The kind of table at a place such as ("stages", 0); None where there is none."""
    section: type[Section] | None = TrainingConfig
    for part in place:
        if section is not None and isinstance(part, str):
            field = section.model_fields.get(part)
            section = None if field is None else _find_section(field.annotation)
    return section


def _find_section(annotation: Any) -> type[Section] | None:
    """The section in an annotation such as `tuple[PairFolders, ...]`."""
    if parts := get_args(annotation):
        return next((found for part in parts if (found := _find_section(part))), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, Section) else None
