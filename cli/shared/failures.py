"""Which exceptions are the user's to mend, what to tell them, and the exit code."""

from __future__ import annotations

import sys
from typing import NamedTuple

BAD_INPUT = 2
FAILED = 1

EXTRA_OF_PACKAGE = {
    "torch": None,  # in several extras: the verb decides
    "safetensors": None,
    "onnx": "export",
    "onnxscript": "export",
    "onnx_ir": "export",
    "lightning": "train",
    "skimage": "train",
    "scipy": "train",
    "pydantic": "train",
    "yaml": "train",
    "torchmetrics": "train",
    "PIL": "train",
    "tensorboardX": "train",
    "tomli": "train",
}
"""Importable package -> the extra of spair-rt that brings it."""

EXTRA_OF_VERB = {"demo": "train,export", "evaluate": "train", "train": "train"}
"""What a verb needs beyond the plain installation; "export" for all others."""

REQUIRED = ("numpy", "onnxruntime", "pyvips", "rich", "typer")
"""Packages of the plain installation."""


class Failure(NamedTuple):
    """What the user is told, and the exit code."""

    sentence: str
    code: int


def explain(error: BaseException, verb: str) -> Failure | None:
    """What to say about an exception of a verb; None for a bug, which keeps its traceback."""
    if _is(error, "spair.plugins.compiler.kernels.compilation", "RuleError"):
        return Failure(_one_line(error), FAILED)
    if _is(error, "spair.plugins.errors", "PluginError"):
        return Failure(_one_line(error), BAD_INPUT)
    if _is(error, "spair.runtime.errors", "UserError") or _is(error, "spair.network.errors", "CheckpointError"):
        return Failure(_one_line(error), BAD_INPUT)
    if _is(error, "spair.runtime.errors", "GateError") or isinstance(error, FloatingPointError):
        return Failure(_one_line(error), FAILED)
    if isinstance(error, MemoryError):
        words = f" ({_one_line(error)})" if str(error) else ""
        return Failure(f"memory ran out{words}; give smaller pictures, or smaller pieces where there is --tile", FAILED)
    if isinstance(error, ImportError):
        return _missing(error, verb)
    if isinstance(error, OSError):  # a name too long, a full disk: the system's word on what was asked for
        return Failure(_one_line(error), BAD_INPUT)
    return None


def _is(error: BaseException, module: str, name: str) -> bool:
    """An error of a module that nobody loaded cannot have been raised; loading it here would be slow."""
    return module in sys.modules and isinstance(error, getattr(sys.modules[module], name))


def _missing(error: ImportError, verb: str) -> Failure | None:
    package = (error.name or "").partition(".")[0]
    if package in REQUIRED:
        sentence = (
            f"the Python package {package} cannot be imported ({_one_line(error)}); install it: pip install spair-rt"
        )
    elif package in EXTRA_OF_PACKAGE:
        extra = EXTRA_OF_VERB.get(verb, "export")
        own = EXTRA_OF_PACKAGE[package]
        extra = extra if own is None or own in extra.split(",") else f"{extra},{own}"
        sentence = (
            f"spair {verb} needs the Python package {package}, which cannot be imported ({_one_line(error)}); "
            f"install it: pip install 'spair-rt[{extra}]'"
        )
    else:
        return None
    return Failure(sentence, BAD_INPUT)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
