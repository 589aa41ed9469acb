"""Exit codes of exceptions, and the sentences that users read."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

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
    "ray": "ray",
    "starlette": "serve",
    "uvicorn": "serve",
    "httptools": "serve",
    "grpc": "serve",
    "tritonclient": "serve",
    "prometheus_client": "serve",
    "google": "serve",
    "av": "video",
}
"""Importable package -> the extra of spair-rt that brings it."""

EXTRA_OF_VERB = {
    "demo": "train,export",
    "evaluate": "train",
    "train": "train",
    "serve": "serve",
    "repository": "export,serve",
}
"""Verb -> the extras that it needs beyond the plain installation; all other verbs need "export"."""

REQUIRED = ("numpy", "onnxruntime", "pyvips", "rich", "typer")
"""Packages of the plain installation."""


class Failure(NamedTuple):
    """Error as the user sees it."""

    sentence: str
    code: int
    """Exit code of the process."""
    pointer: str | None = None
    """Second line that says where to read on, after wrong usage."""


def explain(error: BaseException, verb: str) -> Failure | None:
    """Turn an exception of a verb into a failure.

    The toolkit's own errors (`UserError`, `GateError`, `CheckpointError`, `PluginError` ...) and the errors of the
    command-line parser carry an `exit_code`.

    Returns:
        The failure; None for a bug, which keeps its traceback.
    """
    code = getattr(error, "exit_code", None)
    if isinstance(code, int):
        return _explain_usage(error, code) if hasattr(error, "format_message") else Failure(_one_line(error), code)
    for kind, say in _FOREIGN:
        if isinstance(error, kind):
            return say(error, verb)
    return None


def _explain_usage(error: Any, code: int) -> Failure:
    """Say an error of the command-line parser in our form."""
    words = " ".join(error.format_message().split()).removesuffix(".").replace(": Value error, ", ": ")
    for separator in (". Did you mean", ". Choose from:"):
        words = words.replace(separator, f"; {separator[2:].lower()}")
    for given in _rejected_values(error):
        words += "" if given in words else f", got {given}"
    words += "".join(f"; for the file of that name write ./{name}" for name in _find_dashed(error))
    place = error.ctx.command_path if getattr(error, "ctx", None) is not None else "spair"
    return Failure(words[:1].lower() + words[1:], code, f"see {place} --help")


def _rejected_values(error: BaseException) -> list[str]:
    """Return the values that the parser refused.

    Its message leaves them out.
    """
    details = getattr(error.__cause__, "errors", None)
    return [repr(detail["input"]) for detail in details()] if callable(details) else []


def _find_dashed(error: Any) -> list[str]:
    """Find a file that was taken for an option.

    Its name begins with a dash; a pattern of the shell gives such names unasked.
    """
    option = getattr(error, "option_name", None) or ""
    given = [word for word in sys.argv[1:] if option and word.startswith(option) and os.path.lexists(word)]
    return given[:1]


def _explain_float(error: BaseException, verb: str) -> Failure:
    return Failure(_one_line(error), FAILED)


def _explain_memory(error: BaseException, verb: str) -> Failure:
    words = f" ({_one_line(error)})" if str(error) else ""
    return Failure(f"memory ran out{words}; give smaller pictures, or smaller pieces where there is --tile", FAILED)


def _explain_system(error: BaseException, verb: str) -> Failure:
    """Pass on the words of the system.

    Examples are a full disk and a name that is too long.
    """
    return Failure(_one_line(error), BAD_INPUT)


def _explain_import(error: BaseException, verb: str) -> Failure | None:
    """Name the missing package and the extra that brings it.

    A missing module of the toolkit is a bug and gives None.
    """
    package = (getattr(error, "name", None) or "").partition(".")[0]
    if package in REQUIRED:
        return Failure(
            f"the Python package {package} cannot be imported ({_one_line(error)}); install it: pip install spair-rt",
            BAD_INPUT,
        )
    if package not in EXTRA_OF_PACKAGE:
        return None
    extra = EXTRA_OF_VERB.get(verb, "export")
    own = EXTRA_OF_PACKAGE[package]
    extra = extra if own is None or own in extra.split(",") else f"{extra},{own}"
    return Failure(
        f"spair {verb} needs the Python package {package}, which cannot be imported ({_one_line(error)}); "
        f"install it: pip install 'spair-rt[{extra}]'",
        BAD_INPUT,
    )


_FOREIGN: tuple[tuple[type[BaseException], Callable[[BaseException, str], Failure | None]], ...] = (
    (FloatingPointError, _explain_float),
    (MemoryError, _explain_memory),
    (ImportError, _explain_import),
    (OSError, _explain_system),
)
"""Exceptions of Python itself that are not bugs, and how each is told."""


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
