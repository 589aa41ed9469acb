"""Kinds of files that others may have written, how each is changed, and the reader that it is given to."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spair.calibration.journal import Journal
from spair.cli.demo.command import read_card
from spair.export.engines.estimate import BuildTimes
from spair.network import load_checkpoint
from spair.runtime.bundle.engine_key import EngineKey, load_key
from spair.runtime.bundle.engines import Host, find_engine
from spair.runtime.bundle.precision import choose_precisions
from spair.runtime.bundle.reader import Bundle
from spair.runtime.bundle.writer import check_target
from spair.runtime.cpu.program import read_program
from spair.runtime.engine.opening import has_engines
from spair.runtime.errors import UserError
from spair.runtime.images import decode_image
from spair.runtime.shipped.models import list_models
from spair.runtime.shipped.template import read_template
from spair.runtime.shipped.tensors import read_tensors
from spair.runtime.tiling.costs import Tuning
from spair.runtime.trust import list_code, list_trusted
from spair.runtime.trust.store import trusted_list
from spair.runtime.tuning import load_tuning, save_tuning
from spair.serving.cluster.journal import Journal as ClusterJournal
from spair.serving.repository.folder import check_place
from spair.training.config_file import list_configs, load_config
from spair.training.self_evaluation import read_scores
from tests.fuzz.checkpoints import make_checkpoints, mutate_checkpoint, name_file
from tests.fuzz.graphs import make_graphs, mutate_graph, restore_with
from tests.fuzz.mutations import mutate_bytes, mutate_json, mutate_text
from tests.fuzz.pictures import make_pictures, mutate_picture

MOST_PIXELS = 4_000_000
"""Largest picture that the fuzzed readers take, so that a case is bounded by what it may ask for."""
DIGEST = hashlib.sha256(b"x").hexdigest()
ENGINE = {"engine": "x", "key": "key.json"}
KEY = EngineKey(
    "rtx", "fp16", "model", DIGEST, DIGEST, "tensorrt_rtx", "1.7", "x86_64", (89,), {"level": 3}, "", "12.6"
)
HOST = Host("tensorrt_rtx", "1.7", "x86_64", 89, "", (13, 0))


@dataclass(frozen=True)
class Kind:
    """Kind of files."""

    name: str
    make: Callable[[], list[bytes]]
    """Makes good files."""
    mutate: Callable[[bytes, random.Random], bytes]
    read: Callable[[bytes, Path], None]
    """Reads a file in an empty folder."""


def make_manifests() -> list[bytes]:
    """Return the manifest of a shipped model, and one with every entry that may be left out."""
    template = read_template(list_models()[0].template)
    manifest = {**template.manifest, "files": {"x": DIGEST, "key.json": DIGEST}}
    parts = {"engine": "x", "key": "key.json", "parts": {"net_l": ENGINE}}
    full = {
        **manifest,
        "graphs": {"fp32": {"model": "x", "net_l": "x"}, "fp16": {"net_l": "x"}},
        "rows": {},
        "targets": {"rtx": {"library": "x", "autoload": "x", "architectures": [89], "engines": {"fp16": parts}}},
        "calibration": {"fp16": {"passed": True, "speed": {"machine": "a", "parts": {"net_l": {"ms": 1.0}}}}},
    }
    plain = {**manifest, "graphs": {"fp32": {"model": "x"}}, "rows": {}}
    foreign = {**plain, "kind": "foreign", "network": {"multiple": 8, "halo": 3}}
    return [json.dumps(one).encode() for one in (plain, full, foreign)]


def read_manifest(data: bytes, folder: Path) -> None:
    """Open a bundle and ask it all that its manifest alone answers."""
    (folder / "manifest.json").write_bytes(data)
    (folder / "x").write_bytes(b"x")
    (folder / "key.json").write_bytes(b"x")
    bundle = Bundle.open(folder)
    choose_precisions(bundle, ("net_l", "model"), "onnxruntime", None)
    has_engines(bundle)
    for ask in (
        lambda: bundle.graph("fp32", "model"),
        lambda: list_code(bundle),
        lambda: find_engine(bundle, "rtx", "fp16", HOST),
        lambda: find_engine(bundle, "rtx", "fp16", HOST, "net_l"),
        lambda: check_target(folder, True),
        bundle.contents,
    ):
        _refusable(ask)


def _refusable(ask: Callable[[], object]) -> None:
    try:
        ask()
    except UserError as error:
        _check_sentence(error)


def read_checkpoint(data: bytes, folder: Path) -> None:
    """Load a checkpoint, and take one in the form of safetensors apart without torch."""
    path = folder / name_file(data)
    path.write_bytes(data)
    if path.suffix == ".safetensors":
        _refusable(lambda: [stored.read(name) for stored in [read_tensors(path)] for name in stored.names()])
    load_checkpoint(path)


def make_configurations() -> list[bytes]:
    """Return shipped configurations in TOML, and one in YAML."""
    import yaml

    texts = [find.read_bytes() for find in sorted(_configs().glob("*.toml"))]
    document = {
        "name": "a", "task": "rain", "preset": "tiny", "data": {"photos": ["photos"], "simulate": 1.0},
        "stages": [{"train": "both", "steps": 5}],
    }  # fmt: skip
    return [*texts[: len(list_configs())], b"# yaml\n" + yaml.safe_dump(document).encode()]


def _configs() -> Path:
    from spair.training.config_file import CONFIGS

    return CONFIGS


def mutate_configuration(data: bytes, chance: random.Random) -> bytes:
    """Change words, sometimes bytes."""
    if chance.random() < 0.2:
        return mutate_bytes(data, chance)
    text = data.decode()
    for _ in range(chance.choice((1, 1, 2, 4))):
        text = mutate_text(text, chance)
    return text.encode()


def read_configuration(data: bytes, folder: Path) -> None:
    """Load a configuration and look at what a run asks first."""
    path = folder / ("a.yaml" if data.startswith(b"# yaml") else "a.toml")
    path.write_bytes(data)
    config = load_config(path, runs=folder)
    config.find_preset()
    config.find_simulator()
    _refusable(config.data.locate)
    json.dumps(config.model_dump(mode="json"), allow_nan=False)


def read_sidecar(data: bytes, folder: Path) -> None:
    """Read a key, then a row program."""
    (folder / "a.json").write_bytes(data)
    (folder / "a.bin").write_bytes(bytes(2048))
    _refusable(lambda: load_key(folder / "a.json").digest)
    read_program(folder / "a.json", folder / "a.bin")


def make_sidecars() -> list[bytes]:
    """Return the key of an engine and a row program."""
    step = {"op": "convolve", "name": "a", "x": "image", "out": "b", "weight": "w", "bias": "w", "stride": 1, "pads": 1}
    row = {"op": "attend", "name": "a", "x": "q", "out": "o", "scale": 2, "factor": 0.5, "key_weight": "w"}
    row |= {"key_bias": "w", "value_weight": "w", "value_bias": "w"}
    arrays = {"w": {"offset": 64, "shape": [2, 3, 1, 1]}}
    program = {"format": 1, "net_l": [step], "net_r": [row], "features": ["b"], "arrays": arrays}
    return [KEY.to_json().encode(), json.dumps(program).encode()]


def make_caches() -> list[bytes]:
    """Return a tuning, numbers of a journal, a list of trust, an outcome, a listing and scores."""
    record = {"input": "a", "output": "b", "width": 1, "height": 2, "density": 0.5, "seconds": 1.0, "timings": {}}
    tables = (
        {"dense_ns": 3.0, "packed_ns": 5.0, "window_ns": 1.0, "call_ns": 9.0},
        {"a": 1.5, "b": 2},
        {"schema": 1, "trusted": {DIGEST: "engine"}},
        {"kind": "ImageRecord", **record, "tiles": {"skipped": 1, "packed": 0, "dense": 2}, "mask": None},
        {"kind": "FailureRecord", "input": "a", "error": "b"},
        {"schema": 1, "files": ["a"]},
    )
    return [json.dumps(table).encode() for table in tables]


def read_cache(data: bytes, folder: Path) -> None:
    """Give a file to every reader of a cache; a damaged one counts as absent, or is refused."""
    file = folder / "1.json"
    file.write_bytes(data)
    Journal(file)
    BuildTimes(file)
    ClusterJournal(folder).find(1)
    for name in ("repository.json", "manifest.json"):
        (folder / name).write_bytes(data)
    _refusable(lambda: check_place(folder, True))
    scores = folder / "held-out" / "scores.json"
    scores.parent.mkdir()
    scores.write_bytes(data)
    _refusable(lambda: read_scores(folder))
    (folder / "a.md").write_bytes(data)
    _refusable(lambda: read_card(folder / "a.safetensors"))
    _read_kept(data)


def _read_kept(data: bytes) -> None:
    """Read the files that lie in the cache itself."""
    place = trusted_list()
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    place.chmod(0o600)
    _refusable(list_trusted)
    place.unlink()
    bundle = _tuned_bundle(place.parent)
    path = save_tuning(bundle, "fp32", 1, Tuning.assumed(0.5))
    path.write_bytes(data)
    load_tuning(bundle, "fp32", 1)
    path.unlink()


def _tuned_bundle(cache: Path) -> Bundle:
    folder = cache / "tuned.spair"
    if not folder.is_dir():
        folder.mkdir()
        (folder / "x").write_bytes(b"x")
        (folder / "manifest.json").write_bytes(make_manifests()[0].replace(b'"key.json"', b'"y"'))
        (folder / "y").write_bytes(b"x")
    return Bundle.open(folder)


def read_graph(data: bytes, folder: Path) -> None:
    """Restore with a graph."""
    restore_with(folder / "a.spair", data)


KINDS = {
    kind.name: kind
    for kind in (
        Kind("manifests", make_manifests, mutate_json, read_manifest),
        Kind("pictures", make_pictures, mutate_picture, lambda data, folder: _decode(data)),
        Kind("checkpoints", make_checkpoints, mutate_checkpoint, read_checkpoint),
        Kind("configurations", make_configurations, mutate_configuration, read_configuration),
        Kind("sidecars", make_sidecars, mutate_json, read_sidecar),
        Kind("caches", make_caches, mutate_json, read_cache),
        Kind("graphs", make_graphs, mutate_graph, read_graph),
    )
}


def _decode(data: bytes) -> None:
    decode_image(data, max_pixels=MOST_PIXELS)


def try_case(kind: Kind, data: bytes, folder: Path) -> str:
    """Give one file to its reader.

    Returns:
        "read" or "refused".

    Raises:
        Exception: what the product has no sentence for.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        kind.read(data, folder)
    except Exception as error:
        if not isinstance(getattr(error, "exit_code", None), int):
            raise
        _check_sentence(error)
        return "refused"
    return "read"


def _check_sentence(error: Exception) -> None:
    """A message can be printed."""
    str(error).encode()
    assert len(str(error)) < 50_000, "a sentence is no dump of the file"
