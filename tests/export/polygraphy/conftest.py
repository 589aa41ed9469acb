"""Bundles with engines, for what is written for Polygraphy."""

from __future__ import annotations

import dataclasses
import hashlib
import platform
import shutil
from pathlib import Path

import pytest

from spair.export.engines.builder import describe_options
from spair.export.engines.graph import prepare_engine_graph
from spair.export.engines.options import EngineOptions
from spair.runtime.bundle.engine_key import EngineKey
from spair.runtime.bundle.reader import Bundle
from spair.runtime.bundle.writer import extend_bundle

OPTIONS = EngineOptions((128, 96), (192, 144))
PLAN, LIBRARY, AUTOLOAD = b"plan", b"library", b"autoload"


def add_engine(bundle: Path, *, target: str = "l4", library: bytes = LIBRARY, autoload: bytes = AUTOLOAD, **changes):
    """Add an engine to a bundle: its key fits, its plan is made up.

    `autoload` may be empty for none; `changes` are facts of the key.
    """
    opened = Bundle.open(bundle)
    precision = changes.pop("precision", "fp32")
    source = opened.graph(precision, "model")
    prepared = hashlib.sha256(prepare_engine_graph(source, pixels=True)).hexdigest()
    key = EngineKey(
        target=target,
        precision=precision,
        part="model",
        graph=hashlib.sha256(source.read_bytes()).hexdigest(),
        library=hashlib.sha256(library).hexdigest(),
        builder="tensorrt",
        version="10.9.0.34",
        machine=platform.machine(),
        architectures=(89,),
        options={**describe_options(OPTIONS), "prepared": prepared},
    )
    key = dataclasses.replace(key, **changes)
    names = {"engine": f"engines/{target}/{precision}.engine", "key": f"engines/{target}/{precision}.json"}
    files = {
        names["engine"]: PLAN,
        names["key"]: key.to_json().encode(),
        f"plugins/{target}/libspair_plugins.so": library,
    }
    entry = dict(
        opened.manifest.targets.get(target, {"library": f"plugins/{target}/libspair_plugins.so", "engines": {}})
    )
    entry["engines"] = {**entry["engines"], precision: names}
    if autoload:
        entry["autoload"] = f"plugins/{target}/libspair_plugins_autoload.so"
        files[entry["autoload"]] = autoload
    extend_bundle(opened, {"targets": {**opened.manifest.targets, target: entry}}, files)
    return bundle


@pytest.fixture
def plain(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A bundle without engines."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "rain.spair"))


@pytest.fixture
def built(plain: Path) -> Path:
    """A bundle with an engine."""
    return add_engine(plain)
