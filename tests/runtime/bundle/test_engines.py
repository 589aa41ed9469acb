"""An engine is taken from a bundle only where its key is the one that is needed here."""

import dataclasses
import hashlib
import itertools
import json
import platform

import pytest

from spair.runtime.bundle.engine_key import EngineKey
from spair.runtime.bundle.engines import Host, find_engine
from spair.runtime.bundle.reader import Bundle
from spair.runtime.bundle.writer import extend_bundle
from spair.runtime.errors import UserError
from spair.runtime.machine.gpu import Device

L4 = Device("NVIDIA L4", 89, (12, 6), 58, 22 << 30)
HOST = Host("tensorrt_rtx", "1.7.1", "x86_64", 89, str(L4), L4.driver)
PARTS = ("model", "net_l", "net_r")
PATHS = {"library": "plugins/rtx/lib.so", "engine": "engines/rtx/fp32.engine", "key": "engines/rtx/fp32.json"}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def paths_of(part: str) -> dict[str, str]:
    """Where the engine and the key of a part are."""
    infix = "" if part == "model" else f".{part}"
    return {"engine": f"engines/rtx/fp32{infix}.engine", "key": f"engines/rtx/fp32{infix}.json"}


@pytest.fixture
def built(bundles):
    """Bundles with engines of all parts for rtx; changes of their keys are given."""
    number = itertools.count()

    def make(**changes: object) -> Bundle:
        bundle = bundles.spair(f"{next(number)}.spair")
        graphs = {**bundle.manifest.graphs["fp32"], "model": "graphs/fp32/model.onnx"}
        files = {graphs["model"]: b"the whole network", PATHS["library"]: b"code"}
        bundle = extend_bundle(bundle, {"graphs": {"fp32": graphs}}, files)
        engines, entry = {}, {}
        for part in PARTS:
            graph = bundle.manifest.files[graphs[part]]
            key = EngineKey(
                "rtx", "fp32", part, graph, sha256(b"code"), "tensorrt_rtx", "1.7.1", "x86_64", (86, 89), {"batch": 1}
            )
            key = dataclasses.replace(key, **changes)
            paths = paths_of(part)
            engines |= {paths["engine"]: f"plan of {part}".encode(), paths["key"]: key.to_json().encode()}
            entry[part] = paths
        whole = entry.pop("model")
        target = {"library": PATHS["library"], "engines": {"fp32": {**whole, "parts": entry}}}
        return extend_bundle(bundle, {"targets": {"rtx": target}}, engines)

    return make


def test_an_engine_that_fits_is_found_with_its_library(built):
    found = find_engine(built(), "rtx", "fp32", HOST)
    assert (found.plan.read_bytes(), found.library.read_bytes()) == (b"plan of model", b"code")
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
    graph = bundle.manifest.graphs["fp32"]["model"]
    changed = extend_bundle(bundle, {}, {graph: b"another graph"})
    with pytest.raises(UserError, match="does not fit here: graph is "):
        find_engine(changed, "rtx", "fp32", HOST)


@pytest.mark.parametrize("part", PARTS)
def test_each_part_has_an_engine_of_its_own(built, part):
    found = find_engine(built(), "rtx", "fp32", HOST, part=part)
    assert found.plan.read_bytes() == f"plan of {part}".encode()
    assert (found.key.part, found.library.read_bytes()) == (part, b"code")


def test_the_engine_of_another_part_is_refused(built):
    bundle = built()
    table = json.loads(json.dumps(bundle.manifest.targets["rtx"]))
    table["engines"]["fp32"]["parts"]["net_l"] = paths_of("net_r")
    swapped = extend_bundle(bundle, {"targets": {"rtx": table}}, {})
    with pytest.raises(UserError, match="does not fit here: part is net_r, expected net_l; graph is "):
        find_engine(swapped, "rtx", "fp32", HOST, part="net_l")


def test_bundles_of_before_have_the_whole_network_alone(built):
    bundle = built()
    table = json.loads(json.dumps(bundle.manifest.targets["rtx"]))
    del table["engines"]["fp32"]["parts"]
    old = extend_bundle(bundle, {"targets": {"rtx": table}}, {})
    assert find_engine(old, "rtx", "fp32", HOST).plan.read_bytes() == b"plan of model"
    with pytest.raises(
        UserError, match=r"has no fp32 engine of net_r for rtx \(it has: rtx fp32\); build it with spair"
    ):
        find_engine(old, "rtx", "fp32", HOST, part="net_r")


ON_GPU = {"device": HOST.device, "driver": "12.6"}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (dataclasses.replace(L4, multiprocessors=46), "with 58 multiprocessors and 22 GiB, expected .* 46 multi"),
        (dataclasses.replace(L4, memory=8 << 30), "and 22 GiB, expected NVIDIA L4 .* and 8 GiB"),
        (dataclasses.replace(L4, name="Another"), "device is NVIDIA L4 of .*, expected Another of"),
    ],
    ids=["multiprocessors", "memory", "name"],
)
def test_an_engine_runs_on_the_kind_of_gpu_that_it_was_timed_on(built, other, words):
    bundle = built(**ON_GPU)
    assert find_engine(bundle, "rtx", "fp32", HOST)
    with pytest.raises(UserError, match=words):
        find_engine(bundle, "rtx", "fp32", dataclasses.replace(HOST, device=str(other)))
    assert find_engine(built(), "rtx", "fp32", dataclasses.replace(HOST, device=str(other))), "built ahead of time"


def test_the_driver_is_a_minimum(built):
    bundle = built(**ON_GPU)
    for driver in ((12, 6), (12, 10), (13, 0)):
        assert find_engine(bundle, "rtx", "fp32", dataclasses.replace(HOST, driver=driver))
    for driver in ((12, 5), (11, 8)):
        words = rf"does not fit here: driver is 12\.6, expected {driver[0]}\.{driver[1]}"
        with pytest.raises(UserError, match=words):
            find_engine(bundle, "rtx", "fp32", dataclasses.replace(HOST, driver=driver))


def test_a_host_is_described_by_its_gpu():
    host = Host.of("tensorrt", "10.3.0", L4)
    assert host == Host("tensorrt", "10.3.0", platform.machine(), 89, str(L4), (12, 6))


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
