"""What Net_R costs on this machine, dense and packed: measured once, kept in the user's cache, used to plan pieces."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import asdict
from pathlib import Path

from .bundle.reader import Bundle
from .cache import cache_folder
from .errors import UserError
from .files import write_atomically
from .machine.processor import count_cores, read_cpu_name
from .tiling.costs import Tuning


def save_tuning(
    bundle: Bundle, precision: str, threads: int | None, tuning: Tuning, *, backend: str = "onnxruntime"
) -> Path:
    """Keep a measurement; a failure leaves an older one unchanged.

    Raises:
        UserError: the cache folder cannot be written.
    """
    advice = "set SPAIR_CACHE to a folder that can be written"
    try:
        path = _path(bundle, precision, threads, backend)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(asdict(tuning)).encode())
    except (OSError, RuntimeError, UserError) as error:  # RuntimeError: the user has no home folder
        raise UserError(f"cannot keep the measurement of {bundle.path}: {error}; {advice}") from error
    return path


def load_tuning(bundle: Bundle, precision: str, threads: int | None, *, backend: str = "onnxruntime") -> Tuning | None:
    """The measurement of exactly these graphs, backend, processor, thread count and ONNX Runtime; None without one."""
    try:
        return Tuning(**json.loads(_path(bundle, precision, threads, backend).read_text()))
    except (OSError, RuntimeError, ValueError, TypeError):  # absent or damaged: measured again when somebody profiles
        return None


def _path(bundle: Bundle, precision: str, threads: int | None, backend: str) -> Path:
    import onnxruntime

    graphs = bundle.manifest.graphs.get(precision, {})
    key = {
        "graphs": {part: bundle.manifest.files[path] for part, path in graphs.items()},
        "backend": backend,
        "machine": [platform.machine(), read_cpu_name(), count_cores()],
        "threads": threads,
        "onnxruntime": onnxruntime.__version__,
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return cache_folder() / f"tuning-{digest[:24]}.json"
