"""An engine is taken from a bundle only where its key is the one that is needed here."""

import dataclasses
import hashlib
import itertools
import json

import pytest

from spair.runtime.bundle.engine_key import EngineKey
from spair.runtime.bundle.engines import Host, find_engine
from spair.runtime.bundle.reader import Bundle
from spair.runtime.bundle.writer import extend_bundle
from spair.runtime.errors import UserError

HOST = Host("tensorrt_rtx", "1.7.1", "x86_64", 89, "L4 with a driver of CUDA 12.6")
PART = "net_r"
PATHS = {"library": "plugins/rtx/lib.so", "engine": "engines/rtx/fp32.engine", "key": "engines/rtx/fp32.json"}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def built(bundles):
    """Bundles with an engine for rtx; changes of its key are given."""
    number = itertools.count()

    def make(**changes: object) -> Bundle:
        bundle = bundles.spair(f"{next(number)}.spair")
        graph = bundle.manifest.files[bundle.manifest.graphs["fp32"][PART]]
        key = EngineKey(
            "rtx", "fp32", PART, graph, sha256(b"code"), "tensorrt_rtx", "1.7.1", "x86_64", (86, 89), {"batch": 1}
        )
        key = dataclasses.replace(key, **changes)
        files = {PATHS["library"]: b"code", PATHS["engine"]: b"plan", PATHS["key"]: key.to_json().encode()}
        entry = {"library": PATHS["library"], "engines": {"fp32": {name: PATHS[name] for name in ("engine", "key")}}}
        return extend_bundle(bundle, {"targets": {"rtx": entry}}, files)

    return make


def test_an_engine_that_fits_is_found_with_its_library(built):
    found = find_engine(built(), "rtx", "fp32", HOST)
    assert (found.plan.read_bytes(), found.library.read_bytes()) == (b"plan", b"code")
    assert found.key.options == {"batch": 1}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": "1.8"}, r"version is 1\.7\.1, expected 1\.8"),
        ({"builder": "tensorrt"}, "builder is tensorrt_rtx, expected tensorrt"),
        ({"machine": "aarch64"}, "machine is x86_64, expected aarch64"),
        ({"architecture": 120}, r"architectures is \(86, 89\), expected \(120,\)"),
    ],
)
def test_an_engine_for_another_machine_is_refused_with_the_command_that_builds_it(built, change, words):
    bundle = built()
    command = f"; build it again: spair build {bundle.path} --target rtx --precision fp32$"
    with pytest.raises(UserError, match=f"fp32.engine does not fit here: {words}{command}"):
        find_engine(bundle, "rtx", "fp32", dataclasses.replace(HOST, **change))


@pytest.mark.parametrize("name", ["graph", "library"])
def test_a_stale_engine_is_refused(built, name):
    with pytest.raises(UserError, match=f"does not fit here: {name} is {'0' * 12}…, expected [0-9a-f]{{12}}…; build"):
        find_engine(built(**{name: "0" * 64}), "rtx", "fp32", HOST)


def test_a_graph_that_is_calibrated_again_makes_its_engine_stale(built):
    bundle = built()
    graph = bundle.manifest.graphs["fp32"][PART]
    changed = extend_bundle(bundle, {}, {graph: b"another graph"})
    with pytest.raises(UserError, match="does not fit here: graph is "):
        find_engine(changed, "rtx", "fp32", HOST)


def test_gpu_and_driver_count_for_engines_that_were_built_on_one(built):
    assert find_engine(built(device=HOST.device), "rtx", "fp32", HOST)
    with pytest.raises(UserError, match="device is L4 with a driver of CUDA 12.4, expected L4 with a driver of CUDA"):
        find_engine(built(device="L4 with a driver of CUDA 12.4"), "rtx", "fp32", HOST)


@pytest.mark.parametrize(
    ("target", "precision", "words"),
    [
        ("l4", "fp32", r"no fp32 engine for l4 \(it has: rtx fp32\); build it with spair build .* --target l4"),
        ("rtx", "int8", r"no int8 engine for rtx \(it has: rtx fp32\)"),
    ],
)
def test_an_engine_that_was_never_built_is_told(built, target, precision, words):
    with pytest.raises(UserError, match=words):
        find_engine(built(), target, precision, HOST)


def test_a_bundle_without_engines_is_told(bundles):
    with pytest.raises(UserError, match=r"no fp32 engine for rtx \(it has: none\)"):
        find_engine(bundles.spair(), "rtx", "fp32", HOST)


def test_a_changed_engine_or_library_is_refused(built):
    for name in ("engine", "library", "key"):
        bundle = built()
        (bundle.path / PATHS[name]).write_bytes(b"other")
        with pytest.raises(UserError, match=f"{PATHS[name]} was changed"):
            find_engine(bundle, "rtx", "fp32", HOST)


def test_a_damaged_key_is_told(built):
    bundle = extend_bundle(built(), {}, {PATHS["key"]: json.dumps({"target": "rtx"}).encode()})
    with pytest.raises(UserError, match="fp32.json: it is not the key of an engine"):
        find_engine(bundle, "rtx", "fp32", HOST)
