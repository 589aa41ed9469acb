"""The bundle format page describes the manifests really written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.calibration.conftest import calibrate_once, pairs, small_bundle  # noqa: F401 (fixtures)

pytestmark = pytest.mark.early

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "bundle-format.md"
TYPES: Mapping[str, tuple[type, ...]] = {
    "text": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "list": (list,),
    "table": (dict,),
    "null": (type(None),),
}


@dataclass(frozen=True)
class Row:
    """A row of the page's table."""

    key: str
    types: tuple[str, ...]
    when: str

    def matches(self, path: str) -> bool:
        """Tell whether the row describes the entry at a path.

        "*" stands for one name.
        """
        parts = (r"[^/]+" if part == "*" else re.escape(part) for part in self.key.split("."))
        return re.fullmatch("/".join(parts), path) is not None

    def admits(self, value: Any) -> bool:
        """Tell whether a value has one of the row's types.

        True and false are no numbers.
        """
        allowed = tuple(kind for name in self.types for kind in TYPES[name])
        return isinstance(value, allowed) and (not isinstance(value, bool) or bool in allowed)


def read_rows(page: str) -> list[Row]:
    rows = re.findall(r"^\| `([\w.*\[\]]+)` \| ([a-z ]+) \| ([a-z]+) \|", page, re.MULTILINE)
    return [Row(key, tuple(types.split(" or ")), when) for key, types, when in rows]


def walk(value: Any, path: str, tables: frozenset[str]) -> Iterator[tuple[str, Any]]:
    """Yield (path, value) of each entry without further entries.

    Names are joined by "/", because they may hold dots.
    """
    if isinstance(value, dict) and path not in tables:
        for name, inner in value.items():
            yield from walk(inner, f"{path}/{name.replace('/', '|')}".lstrip("/"), tables)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for inner in value:
            yield from walk(inner, f"{path}[]", tables)
    else:
        yield path, value


def list_entries(manifest: Mapping[str, Any], rows: list[Row]) -> dict[str, Any]:
    whole = (row for row in rows if "table" in row.types)
    tables = frozenset(
        path for row in whole for path in (row.key.replace("*", name).replace(".", "/") for name in ("fp16", "int8"))
    )
    return dict(walk(manifest, "", tables))


ROWS = read_rows(PAGE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def manifests(tmp_path_factory, small_bundle, calibrate_once) -> dict[str, dict[str, Any]]:  # noqa: F811 (imported)
    """Manifests of three small bundles, named as in the table."""
    import torch

    from spair.export.exporter import export_foreign

    folder = tmp_path_factory.mktemp("format")
    with torch.random.fork_rng():
        torch.save(torch.nn.Conv2d(3, 3, 3, padding=1).state_dict(), folder / "foreign.pth")
    export_foreign(folder / "foreign.pth", f"{__name__}:build_foreign", folder / "foreign.spair")
    bundles = {
        "spair": small_bundle,
        "calibrated": calibrate_once("int8") / "small.spair",
        "foreign": folder / "foreign.spair",
    }
    return {kind: json.loads((path / "manifest.json").read_text(encoding="utf-8")) for kind, path in bundles.items()}


def build_foreign() -> Any:
    """Build a network of one convolution.

    `export_foreign` imports this function by name.
    """
    import torch

    return torch.nn.Conv2d(3, 3, 3, padding=1)


def test_every_entry_of_a_manifest_is_on_the_page_with_its_type(manifests):
    wrong = []
    for kind, manifest in manifests.items():
        for path, value in list_entries(manifest, ROWS).items():
            rows = [row for row in ROWS if row.matches(path)]
            if value == {} and any(row.key.startswith(f"{path}.") for row in ROWS):
                continue
            if len(rows) != 1 or not rows[0].admits(value):
                wrong.append(f"{kind}: {path} = {value!r} ({rows or 'not on the page'})")
    assert wrong == []


def test_every_key_of_the_page_is_in_the_manifests_it_names(manifests):
    always = ("spair", "calibrated", "foreign")
    kinds = {"always": always, "spair": ("spair",), "foreign": ("foreign",), "calibrated": ("calibrated",)}
    missing = [
        f"{kind}: {row.key}"
        for row in ROWS
        for kind in kinds.get(row.when, ())
        if not any(row.matches(path) for path in list_entries(manifests[kind], ROWS))
    ]
    assert missing == []
    assert {row.when for row in ROWS} == {*kinds, "built"}


def test_the_page_names_the_schema_that_is_written(manifests):
    (schema,) = {manifest["schema"] for manifest in manifests.values()}
    assert f"`schema` is a whole number, now {schema}." in PAGE.read_text(encoding="utf-8")


# The reader of the table, on made-up text

TABLE = """| key | type | when | meaning |
|---|---|---|---|
| `a.*.b` | number or null | always | x |
| `c[].d` | text | built | x |
"""


def test_rows_are_read_with_types_and_condition():
    assert read_rows(TABLE) == [Row("a.*.b", ("number", "null"), "always"), Row("c[].d", ("text",), "built")]


def test_a_star_stands_for_exactly_one_name():
    row = read_rows(TABLE)[0]
    assert row.matches("a/x/b")
    assert not row.matches("a/b")
    assert not row.matches("a/x/y/b")


@pytest.mark.parametrize(("value", "admitted"), [(1.5, True), (None, True), ("1", False), (True, False), ([], False)])
def test_types_are_told_apart(value, admitted):
    assert read_rows(TABLE)[0].admits(value) is admitted
