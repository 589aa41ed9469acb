"""Bundle with a stand-in for an engine that Triton serves."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from pathlib import Path
from typing import Any

from spair.runtime.bundle.engine_key import EngineKey
from spair.runtime.bundle.engines import name_graph
from spair.runtime.bundle.reader import Bundle
from spair.runtime.bundle.writer import extend_bundle

LIBRARY = b"stand-in for libspair_plugins.so"
PLAN = b"ftrt stand-in for an engine, which no TensorRT would load"
SIZES = {"usual": [96, 64], "largest": [192, 128]}


def add_engine(source: Path, place: Path, *, library: bytes = LIBRARY, batch: int = 1, **changes: Any) -> Path:
    """Copy a bundle and add a served engine of target local; changes of its key are given."""
    shutil.copytree(source, place)
    bundle = Bundle.open(place)
    graph = bundle.manifest.files[bundle.manifest.graphs["fp32"][name_graph("served")]]
    key = EngineKey(
        "local", "fp32", "served", graph, hashlib.sha256(library).hexdigest(), "tensorrt", "10.5.0.18", "x86_64", (89,),
        {"batch": batch, **SIZES},
    )  # fmt: skip
    key = dataclasses.replace(key, **changes)
    files = {
        "plugins/local/libspair_plugins.so": library,
        "plugins/local/libspair_plugins_autoload.so": b"stand-in for the library that registers",
        "engines/local/fp32.engine": b"whole",
        "engines/local/fp32.json": key.to_json().encode(),
        "engines/local/fp32.served.engine": PLAN,
        "engines/local/fp32.served.json": key.to_json().encode(),
    }
    names = {kind: f"engines/local/fp32.{suffix}" for kind, suffix in (("engine", "engine"), ("key", "json"))}
    served = {kind: name.replace("fp32.", "fp32.served.") for kind, name in names.items()}
    entry = {
        "library": "plugins/local/libspair_plugins.so",
        "autoload": "plugins/local/libspair_plugins_autoload.so",
        "engines": {"fp32": {**names, "parts": {"served": served}}},
    }
    extend_bundle(bundle, {"targets": {"local": entry}}, files)
    return place
