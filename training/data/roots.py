"""Search for the folders that a configuration names."""

from __future__ import annotations

import dataclasses
import difflib
import importlib.util
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ...runtime.errors import UserError

if TYPE_CHECKING:
    from .config import DataRoot

RUNS = "runs"
"""Name of the folder of all runs, in which a run finds the weights of an earlier one."""
_REFERENCE = re.compile(r"\$\{([^{}]*)\}(?:/(.*))?")
_VARIABLE = re.compile(r"\$\{([^{}]*)\}")


@dataclasses.dataclass(frozen=True)
class Places:
    """Folders at which the paths of a configuration begin.

    A path begins with `${NAME}`, or it is relative to the configuration file, or it is absolute. NAME is a data root,
    `runs`, or an environment variable. None of this is saved with a run: a run may go on where its data lies elsewhere.
    """

    file: Path = Path()
    """Folder of the configuration file."""
    given: Mapping[str, Path] = dataclasses.field(default_factory=dict)
    """Folders that the command line gives for data roots, by name."""
    runs: Path = Path(RUNS)
    """Folder of all runs."""

    def find(self, path: Path, roots: Mapping[str, DataRoot]) -> Path:
        """Return the absolute form of a configuration's path.

        Raises:
            UserError: `${NAME}` is unknown, has no folder, or does not stand at the beginning.
        """
        name, rest = split_reference(path)
        if name is None:
            return self.file.absolute() / path
        return self._find_folder(name, rest, roots) / rest

    def check_folders(self, paths: Iterable[Path], roots: Mapping[str, DataRoot]) -> None:
        """Check that the data roots of these paths are folders.

        Raises:
            UserError: one sentence says for each missing data root what to give and what it holds.
        """
        wanted: dict[str, list[str]] = {}
        for path in paths:
            name, rest = split_reference(path)
            if name is not None and name in roots:
                wanted.setdefault(name, []).append(rest)
        problems = {name: problem for name in wanted if (problem := self._judge(name, roots[name]))}
        if problems:
            advice = [_advise(name, roots[name], wanted[name]) for name in problems]
            raise UserError(f"{', '.join(problems.values())}; give {', and '.join(advice)}")

    def check_names(self, paths: Iterable[Path], roots: Mapping[str, DataRoot]) -> None:
        """Check that every `${NAME}` and every given folder is known.

        Raises:
            UserError: a name is unknown; the sentence lists the known ones.
        """
        for root in roots.values():
            split_reference(root.path or Path())
        for path in paths:
            name, rest = split_reference(path)
            if name is not None and name not in roots and name != RUNS:
                self._find_folder(name, rest, roots)
        for name, folder in self.given.items():
            if name not in roots:
                raise UserError(
                    f"--data {name}={folder} is for no data root of this configuration; {_list_known(name, roots)}"
                )

    def _find_folder(self, name: str, rest: str, roots: Mapping[str, DataRoot]) -> Path:
        if name in roots:
            folder = self._find_root(name, roots[name])
            if folder is None:
                raise UserError(f"the data root {name} has no folder; give {_advise(name, roots[name], [rest])}")
            return folder
        if name == RUNS:
            return self.runs.absolute()
        if value := os.environ.get(name):
            return Path(value).expanduser().absolute()
        raise UserError(
            f"${{{name}}} is no data root of this configuration, and no environment variable of this name is set; "
            f"{_list_known(name, roots)}"
        )

    def _find_root(self, name: str, root: DataRoot) -> Path | None:
        """Return the folder of a data root, or None."""
        if name in self.given:
            return self.given[name].expanduser().absolute()
        if root.package is not None:
            return _find_package(name, root.package) / (root.path or "")
        if root.path is None:
            return None
        variable, rest = split_reference(root.path)
        if variable is None:
            return self.file.absolute() / root.path
        if variable == RUNS:
            return self.runs.absolute() / rest
        value = os.environ.get(variable)
        return Path(value).expanduser().absolute() / rest if value else None

    def _judge(self, name: str, root: DataRoot) -> str | None:
        """Describe the fault of a data root, or return None."""
        folder = self._find_root(name, root)
        if folder is None:
            return f"the data root {name} has no folder"
        # os.path takes a name that is too long for no folder; Path.is_dir raises
        return None if os.path.isdir(folder) else f"the data root {name} is {folder}, which is not a folder"  # noqa: PTH112


def split_reference(path: Path) -> tuple[str | None, str]:
    """Split `${NAME}/rest` into name and rest.

    The name is None for other paths.

    Raises:
        UserError: `${NAME}` stands elsewhere in the path.
    """
    text = path.as_posix()
    match = _REFERENCE.fullmatch(text)
    if match and not _VARIABLE.search(match[2] or ""):
        return match[1], match[2] or ""
    if _VARIABLE.search(text):
        raise UserError(f"{text}: ${{NAME}} has to be the first part of a path, as in ${{NAME}}/folder; correct it")
    return None, text


def _find_package(name: str, package: str) -> Path:
    try:
        found = importlib.util.find_spec(package)
    except (ImportError, ValueError):  # of a package inside one that is absent; of a name that is none
        found = None
    if found is None or not found.submodule_search_locations:
        raise UserError(
            f"the data root {name} lies in the Python package {package}, which is not installed; install it, "
            f"or give --data {name}=FOLDER"
        )
    return Path(next(iter(found.submodule_search_locations)))


def _advise(name: str, root: DataRoot, rests: list[str]) -> str:
    """Say how to give a data root.

    It also says what has to lie in it; `rests` are the paths that are read below it.
    """
    variable = None if root.path is None or root.package else split_reference(root.path)[0]
    other = f" (or set {variable})" if variable not in (None, RUNS) else ""
    below = ", ".join(dict.fromkeys(rest for rest in rests if rest))
    return f"--data {name}=FOLDER{other} with {root.holds or below or 'the pictures'}"


def _list_known(name: str, roots: Mapping[str, DataRoot]) -> str:
    if not roots:
        return "it has no data roots, its folders stand in its [data]"
    close = difflib.get_close_matches(name, roots, 1)
    return f"{f'did you mean {close[0]}? ' if close else ''}data roots are {', '.join(roots)}"
