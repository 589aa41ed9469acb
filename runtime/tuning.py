"""Storage of the measured costs of Net_R.

The costs are measured once per machine, and the planner of pieces uses them whenever a bundle is opened.
"""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from pathlib import Path

from .backends.package import read_version
from .bounds.files import read_text
from .bounds.values import parse_json
from .bundle.reader import DERIVED_FROM, Bundle
from .cache import cache_file
from .errors import UserError
from .files import write_atomically
from .machine.processor import count_cores, read_cpu_name, read_features
from .tiling.costs import Tuning
from .tiling.spec import SpairNetwork

_FORM = 2
"""Number of the form in which graphs are computed, see `spair.runtime.graphs.lean`; it rises when costs change with the
same files."""

_CROSSOVERS = {"avx512f": 0.82, "avx2": 0.95}
"""Share of the work at which packed and dense graphs cost the same, by the widest vectors of the processor.

Each is the geometric mean of what `python -m benchmarks.cpu.forms` measured for two presets in FP32, which is the
least-squares fit of the logarithm. Both lie within 7 % of it. Dense graphs of FP16 are no faster, so it serves them."""
_INTEGERS = 1.1
"""Share for INT8 on any processor: dense INT8 graphs are computed in floats, and packed ones always cost less.

With VNNI 2.7 was measured. Where the packed graph is computed in floats, too, estimates are 1.1 and more."""


def assume_tuning(spec: SpairNetwork, precision: str, backend: str) -> Tuning:
    """Assume costs where none were measured.

    A cross-over that the bundle states counts. Otherwise it is predicted for ONNX Runtime on this processor. Where
    nothing is known, `CROSSOVER` holds.

    Args:
        spec: description of the network.
        precision: precision of the graphs.
        backend: name of the backend.
    """
    crossover = spec.crossover
    if crossover is None and backend == "onnxruntime":
        features = read_features()
        found = (value for name, value in _CROSSOVERS.items() if name in features)
        crossover = _INTEGERS if precision == "int8" else next(found, None)
    return Tuning.assumed(crossover)


def save_tuning(
    bundle: Bundle, precision: str, threads: int | None, tuning: Tuning, *, backend: str = "onnxruntime"
) -> Path:
    """Store measured costs in the cache folder.

    A failure leaves an older measurement unchanged.

    Returns:
        The file that was written.

    Raises:
        UserError: the cache folder cannot be written.
    """
    advice = "set SPAIR_CACHE to a folder that can be written"
    path = _path(bundle, precision, threads, backend)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(asdict(tuning)).encode())
    except (OSError, UserError) as error:
        raise UserError(f"cannot keep the measurement of {bundle.path}: {error}; {advice}") from error
    return path


def load_tuning(bundle: Bundle, precision: str, threads: int | None, *, backend: str = "onnxruntime") -> Tuning | None:
    """Load the costs that were measured in exactly this situation.

    The graphs and their form, the backend, the processor, the number of threads and the version of ONNX Runtime must be
    equal.

    Returns:
        The costs; None where they were not measured, or where their file is damaged.
    """
    try:
        return Tuning(**parse_json(read_text(_path(bundle, precision, threads, backend))))
    except (OSError, ValueError, TypeError):  # ValueError: no cache folder, too; `spair profile` measures again
        return None


def _path(bundle: Bundle, precision: str, threads: int | None, backend: str) -> Path:
    graphs = bundle.manifest.graphs.get(DERIVED_FROM.get(precision, precision), {})
    key = {
        "graphs": {part: bundle.manifest.files[path] for part, path in graphs.items()},
        "backend": backend,
        "form": _FORM,
        "machine": [platform.machine(), read_cpu_name(), count_cores()],
        "threads": threads,
        "onnxruntime": read_version(),
    }
    if precision in DERIVED_FROM:  # all others are told apart by their graphs
        key["precision"] = precision
    return cache_file("tuning", key)
