"""File of a served graph."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from ...runtime.bundle.reader import Bundle
from ...runtime.errors import UserError
from ...runtime.files import write_atomically
from ...runtime.served.network import SUFFIX
from .graph import make_served_graph


def check_file(out: Path, force: bool) -> None:
    """Refuse a file before long work.

    Raises:
        UserError: it is not named NAME.onnx; or it exists, and may not be replaced.
    """
    if out.suffix.lower() != SUFFIX:
        raise UserError(f"a served graph is a file NAME{SUFFIX}, got {out}; end its name in {SUFFIX}")
    if out.exists() and not force:
        raise UserError(f"{out} exists; add --force to replace it, or choose another name")


def write_served_graph(
    bundle: Path, out: Path, *, precision: str = "fp32", force: bool = False, expect_digest: Collection[str] = ()
) -> dict[str, Any]:
    """Write the served graph of a bundle.

    A failure leaves an existing file unchanged.

    Args:
        bundle: the bundle's folder.
        out: the file, NAME.onnx.
        precision: see `make_served_graph`.
        force: replace an existing file.
        expect_digest: see `Bundle.open`.

    Returns:
        Facts about the file: "path", "bytes", "precision", "opset", "task" and "preset".

    Raises:
        UserError: see `make_served_graph`; the bundle is another than expected; the file cannot be written, or exists.
    """
    check_file(out, force)
    opened = Bundle.open(bundle, expect_digest=expect_digest)
    model = make_served_graph(opened, precision)
    content = model.SerializeToString(deterministic=True)
    write_atomically(out, content)
    return {
        "path": str(out),
        "bytes": len(content),
        "precision": precision,
        "opset": model.opset_import[0].version,
        "task": opened.manifest.task,
        "preset": opened.manifest.preset,
    }
