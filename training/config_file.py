"""Reading of training configurations.

Everything that is wrong with a file is one sentence, before anything starts.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from ..runtime.bounds.files import read_text
from ..runtime.bounds.values import MOST_DEPTH, check_values
from ..runtime.errors import UserError
from .config import TrainingConfig
from .data.config import Section
from .data.roots import RUNS, Places

CONFIGS = Path(__file__).resolve().parent / "configs"
"""Folder of the shipped configurations."""
MOST_BYTES = 64 * 1024
"""Bytes of the largest configuration; the shipped ones have some two thousand. YAML takes seconds for this much."""


def load_config(
    path: str | os.PathLike[str], given: Mapping[str, Path] | None = None, *, runs: Path = Path(RUNS)
) -> TrainingConfig:
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
    path = find_config(Path(path))
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
        text = read_text(path, MOST_BYTES)
        content = _parse_yaml(text) if form == "YAML" else tomllib.loads(text)
        check_values(content)
        _check_names(content)
        return content
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}; check its permissions") from error
    except RecursionError as error:
        raise UserError(f"{path} is not valid {form}: it is nested too deep; write it flat") from error
    except (ValueError, TypeError, LookupError, ArithmeticError, yaml.YAMLError) as error:  # 2020-13-45 is no date
        reason = _shorten(" ".join(str(error).split()) or type(error).__name__)
        raise UserError(f"{path} is not valid {form}: {reason}; correct that line") from error


def _parse_yaml(text: str) -> Any:
    """Parse YAML without aliases and without deep nesting.

    A few lines of aliases stand for more entries than memory holds, and deep nesting takes time that grows faster than
    the file.
    """
    import yaml

    loader, depth = yaml.SafeLoader(text), 0
    compose = loader.compose_node

    def compose_bounded(parent: Any, index: Any) -> Any:
        nonlocal depth
        if loader.check_event(yaml.AliasEvent):
            line = loader.peek_event().start_mark.line + 1
            raise yaml.YAMLError(f"line {line} has an alias (*name), which is not read: write it out")
        depth += 1
        if depth > MOST_DEPTH:
            raise yaml.YAMLError(f"it is nested deeper than {MOST_DEPTH} levels")
        node = compose(parent, index)
        depth -= 1
        return node

    loader.compose_node = compose_bounded
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _check_names(content: Any) -> None:
    """Refuse tables whose names are no texts, as `yes: 1` makes."""
    for value in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        _check_names(value)
    odd = [name for name in content if not isinstance(name, str)] if isinstance(content, dict) else []
    if odd:
        raise ValueError(f"the name {odd[0]!r} is no text; put it in quotes")


def _describe(error: ValidationError) -> str:
    # a tuple with a wrong item is also called too short, since only the right ones count
    errors = [part for part in error.errors() if not (part["type"] == "too_short" and part["input"])]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    first: dict[str, Any] = dict(errors[0])
    where = _shorten(".".join(map(str, first["loc"])))
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
        return f"expected a table{f' with {_names(wanted)}' if wanted else ''}, got {_shorten(repr(given))}"
    if error["type"] == "tuple_type":
        in_toml = "one table: in TOML a list of tables has its name in [[ ]]"
        got = in_toml if isinstance(given, dict) else _shorten(repr(given))
        return f"expected a list, got {got}"
    shown = "" if isinstance(given, dict) else f", got {_shorten(repr(given))}"  # a whole table says nothing
    return f"{_shorten(error['msg'].removeprefix('Value error, '))}{shown}"


def _shorten(words: str) -> str:
    return words if len(words) <= 300 else f"{words[:300]}…"


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
