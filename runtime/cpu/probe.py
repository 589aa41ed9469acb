"""Probe of the kernels for the report of `spair doctor`."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import UserError
from ..machine.probes import Probe
from .choice import refuse_machine
from .library import load_library, unavailable
from .library.compiling import find_compiler, read_version
from .library.ready import find_ready
from .opening import BACKEND


class AutoChoice(NamedTuple):
    """Backend that "auto" takes on this processor."""

    backend: str
    """Name of the backend; "none" where no backend works."""
    reason: str


def probe_kernels() -> Probe:
    """Load the kernels, which may compile them.

    Returns:
        The instruction set that was chosen and where the kernels come from; where they do not work, the reason in one
        sentence.
    """
    reason = unavailable()
    if reason is not None:
        return Probe(False, None, reason)
    try:
        library = load_library()
        made = "which were installed" if find_ready() else f"compiled by {_read_compiler()}"
    except UserError as error:
        return Probe(False, None, str(error))
    return Probe(True, library.instructions.title, f"kernels of our own for --backend cpu, {made}")


def choose_here(graphs: Probe) -> AutoChoice:
    """Say which backend "auto" takes here.

    It is about bundles in FP32 that have a row program. Engines for a GPU come before it. The kernels are loaded for
    that, which may compile them.

    Args:
        graphs: answer of ONNX Runtime, without which the kernels do not run either: they are compared with it.
    """
    if not graphs.ok:
        return AutoChoice("none", f"the kernels of the backend cpu are compared with ONNX Runtime, and {graphs.reason}")
    reason = refuse_machine()
    if reason is not None:
        return AutoChoice("onnxruntime", reason)
    title = load_library().instructions.title
    return AutoChoice(BACKEND, f"its kernels for {title} give the picture of ONNX Runtime sooner, in fp32")


def _read_compiler() -> str:
    compiler = find_compiler()
    return read_version(compiler) if compiler else "a compiler that is gone"
