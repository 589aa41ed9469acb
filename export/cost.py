"""Parameters and multiply-adds of a model that is open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..runtime.bundle.reader import Bundle
from ..runtime.shipped import resolve_model
from .inspection import SIDE, measure_bundle, measure_preset

UNKNOWN: dict[str, Any] = {"parameters": None, "multiply_adds": None, "multiply_adds_clean": None}
"""Size of a model that does not tell."""


def measure_model(path: Path, network: Any) -> dict[str, Any]:
    """Count a model's parameters and multiply-adds.

    Args:
        path: bundle, checkpoint or served graph of the model, or the name of shipped weights.
        network: network that a `Restorer` runs.

    Returns:
        "parameters"; "multiply_adds" for a pixel, where every pixel is distorted; "multiply_adds_clean", those for a
        pixel where none is. What the model does not tell is None.
    """
    module = getattr(network, "module", None)
    if module is not None:
        return UNKNOWN | _measure_module(module, network.spec)
    model = getattr(network, "model", None)
    if model is not None:
        return _read_facts(measure_preset(model.preset))
    folder = Path(resolve_model(path, announce=lambda words: None))  # the model is open, so nothing has to be made
    if not folder.is_dir():
        return dict(UNKNOWN)
    bundle = Bundle.open(folder)
    if bundle.manifest.kind == "spair":
        return _read_facts(measure_bundle(bundle))
    return UNKNOWN | _measure_graph(bundle)


def _read_facts(facts: dict[str, Any]) -> dict[str, Any]:
    """Read the size of a SPAIR network."""
    counts = facts["macs"] or {}
    return {
        "parameters": facts["parameters"],
        "multiply_adds": counts.get("total"),
        "multiply_adds_clean": counts.get("net_l"),
    }


def _measure_graph(bundle: Bundle) -> dict[str, Any]:
    """Measure somebody else's bundle by its graph."""
    from .counts.products import count_products
    from .passes.reading import read_model

    precision = bundle.precisions[0]
    if not bundle.has_graph(precision, "model"):
        return {}
    count = count_products(read_model(bundle.graph(precision, "model")), SIDE)
    parameters = measure_bundle(bundle)["parameters"]
    return {"parameters": parameters, "multiply_adds": count, "multiply_adds_clean": count}


def _measure_module(module: Any, spec: Any) -> dict[str, Any]:
    """Measure somebody else's module on a small picture."""
    import torch

    from ..network.cost import count_run, parameters

    side = SIDE + -SIDE % spec.multiple
    count = count_run(module, torch.zeros(1, spec.picture_channels, side, side)) / side**2
    return {"parameters": parameters(module), "multiply_adds": count, "multiply_adds_clean": count}
