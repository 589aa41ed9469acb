"""Facts about bundles, checkpoints and served graphs, for `spair inspect`.

A machine that only runs bundles lacks the packages `torch` and `onnx`. On such a machine the facts that need them are
None.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runtime.bundle.checks.digest import check_digest
from ..runtime.bundle.reader import Bundle
from ..runtime.files import sha256
from ..runtime.served.network import find_facts

if TYPE_CHECKING:
    from ..network import Preset

SIDE = 256
"""Side in pixels of the square picture on which multiply-adds are counted, before they are divided by its pixels."""
UNKNOWN_SIZE = {"parameters": None, "parameters_by_block": None, "macs": None, "macs_share": None}
"""Facts about the size of a network whose sizes are unknown."""


def inspect_checkpoint(path: str | os.PathLike[str], expect_digest: Collection[str] = ()) -> dict[str, Any]:
    """Return the facts about a checkpoint.

    Args:
        path: the file.
        expect_digest: digests of which it must have one; empty where any will do.

    Raises:
        CheckpointError: see `load_checkpoint`.
        UserError: it has another digest.
    """
    from ..network import load_checkpoint

    path = Path(path)
    digest = _check_file(path, expect_digest)
    loaded = load_checkpoint(path)
    return {
        "model": str(path),
        "kind": "checkpoint",
        "task": loaded.task,
        "preset": loaded.model.preset.name,
        **measure_preset(loaded.model.preset),
        "precisions": ["fp32"],
        "targets": [],
        "checks": {"keys": True, "finite": True},
        "digest": digest,
        "sha256": digest,
    }


def inspect_bundle(path: str | os.PathLike[str], expect_digest: Collection[str] = ()) -> dict[str, Any]:
    """Verify a bundle and return the facts about it.

    Args:
        path: the folder.
        expect_digest: see `Bundle.open`.

    Raises:
        UserError: the bundle cannot be opened, the hash of a file differs from the manifest's, or a graph contradicts
            the manifest.
    """
    bundle = Bundle.open(path, expect_digest=expect_digest)
    manifest = bundle.manifest
    hashed = len(bundle.contents())
    for precision in bundle.precisions:
        bundle.check_graphs(precision)
    graphs = sum(map(len, manifest.graphs.values()))
    parity = {key: manifest.parity.get(key) for key in ("cases", "max_abs", "mean_abs", "passed")}
    return {
        "model": str(path),
        "kind": manifest.kind,
        "task": manifest.task,
        "preset": manifest.preset,
        **measure_bundle(bundle),
        "precisions": list(bundle.precisions),
        "targets": list(manifest.targets),
        "operators": dict(manifest.operators),
        "opset": manifest.opset,
        "inputs": [dict(entry) for entry in manifest.inputs],
        "outputs": list(manifest.outputs),
        "checks": {
            "hashes": {"files": hashed, "passed": True},
            "numbers": {"graphs": graphs, "passed": True},
            "parity": parity,
        },
        "digest": bundle.digest,
        "checkpoint": dict(manifest.checkpoint),
        "tools": dict(manifest.tools),
    }


def inspect_served(path: str | os.PathLike[str], expect_digest: Collection[str] = ()) -> dict[str, Any]:
    """Return the facts that a served graph states.

    Args:
        path: the file.
        expect_digest: digests of which it must have one; empty where any will do.

    Raises:
        UserError: there is no such file, it has another digest, or it is no served graph.
    """
    path = Path(path)
    digest = _check_file(path, expect_digest)
    facts = dict(find_facts(path))
    return {
        "model": str(path),
        "kind": "served graph",
        "task": facts.get("task", ""),
        "preset": facts.get("preset", ""),
        **UNKNOWN_SIZE,
        "precisions": [facts["precision"]],
        "targets": [],
        "checks": {"contract": True},
        "facts": facts,
        "digest": digest,
        "sha256": digest,
    }


def _check_file(path: Path, expect_digest: Collection[str]) -> str:
    """Check the digest of a file and return it.

    It is empty for what is no file, which its reader refuses.
    """
    if not path.is_file():
        return ""
    digest = sha256(path)
    check_digest(digest, expect_digest, path)
    return digest


def measure_preset(preset: Preset) -> dict[str, Any]:
    """Count the parameters and multiply-adds of a preset.

    Returns:
        "parameters", "parameters_by_block", "macs" (multiply-adds for each pixel, by block) and "macs_share".
    """
    import torch

    from ..network import SPAIR
    from ..network.cost import multiply_adds, parameters_by_block

    with torch.device("meta"):
        sizes = parameters_by_block(SPAIR(preset))
    counts = multiply_adds(preset, SIDE, SIDE)
    return {
        "parameters": sizes["total"],
        "parameters_by_block": sizes,
        "macs": {name: round(count / SIDE**2, 1) for name, count in counts.items()},
        "macs_share": {name: round(count / counts["total"], 4) for name, count in counts.items()},
    }


def measure_bundle(bundle: Bundle) -> dict[str, Any]:
    """Count a bundle's parameters and multiply-adds, where possible."""
    if bundle.manifest.kind != "spair":
        return UNKNOWN_SIZE | {"parameters": _count_graph_parameters(bundle)}
    fields = bundle.manifest.raw.get("preset_fields")
    if fields is None:
        return dict(UNKNOWN_SIZE)
    try:
        from ..network import Preset
    except ImportError:  # torch is not installed
        return dict(UNKNOWN_SIZE)
    return measure_preset(Preset.from_json(json.dumps(fields)))


def _count_graph_parameters(bundle: Bundle) -> int | None:
    """Count the values of a graph's float tensors.

    They include constants that training does not change.
    """
    with_model = [precision for precision in bundle.precisions if bundle.has_graph(precision, "model")]
    if not with_model:
        return None
    try:
        import onnx
    except ImportError:
        return None
    from .passes.reading import read_model

    graph = read_model(bundle.graph(with_model[0], "model")).graph
    return sum(math.prod(tensor.dims) for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT)
