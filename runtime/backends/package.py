"""Import of ONNX Runtime."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import re
from pathlib import Path
from types import ModuleType

from ..errors import UserError

NAME = "onnxruntime"
_REMEDY = f"install it anew: pip install --force-reinstall {NAME}; spair doctor tells what is installed"
_VERSION = re.compile(r'^__version__ = "([^"]+)"', re.MULTILINE)


def load_onnxruntime() -> ModuleType:
    """Import ONNX Runtime.

    Functions call this where they need it, and no module at its top: commands that run no graph start without it.

    Raises:
        UserError: it is absent; its import fails, with whatever error, since a damaged file may raise any; or it is the
            empty package that pip leaves when it removes one of two packages with the same files.
    """
    onnxruntime = _import(NAME)
    if not hasattr(onnxruntime, "InferenceSession"):
        raise UserError(f"the Python package {NAME} is empty (it has no InferenceSession); {_REMEDY}")
    return onnxruntime


def load_part(name: str) -> ModuleType:
    """Import a module of ONNX Runtime.

    Args:
        name: its name inside the package, as "quantization.calibrate".

    Raises:
        UserError: see `load_onnxruntime`; or the import of this module fails.
    """
    load_onnxruntime()
    return _import(f"{NAME}.{name}")


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        words = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"the Python package {NAME} cannot be imported ({words}); {_REMEDY}") from error


def is_installed() -> bool:
    """Tell whether ONNX Runtime is there, working or not."""
    return importlib.util.find_spec(NAME) is not None


def read_version() -> str | None:
    """Return the version of ONNX Runtime.

    It is None where ONNX Runtime is not installed. Where the package states it as text, nothing is imported: that takes
    longer than a small picture.

    Raises:
        UserError: it states none, and it is damaged, see `load_onnxruntime`.
    """
    spec = importlib.util.find_spec(NAME)
    if spec is None:
        return None
    with contextlib.suppress(OSError):
        stated = _VERSION.search(Path(spec.origin or "").read_text(encoding="utf-8", errors="replace"))
        if stated:
            return stated[1]
    return str(load_onnxruntime().__version__)
