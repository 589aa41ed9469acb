"""Row programs as files of a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx

from ...runtime.bundle.reader import Bundle
from ...runtime.tiling.spec import SpairNetwork
from .program import make_row_program

FILES = {"program": "rows.json", "arrays": "rows.bin"}
"""Names of the files of a row program."""


def describe_rows(
    graphs: Mapping[str, onnx.ModelProto], bundle: Bundle, precision: str
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Make the row program of a bundle's graphs.

    Args:
        graphs: graphs of the precision, "net_l" and "net_r" among them.
        bundle: the bundle that they are for.
        precision: their precision.

    Returns:
        Entries of the manifest, and the files by path. Both are empty where the bundle's network has no row program in
        float32 either.

    Raises:
        PassError: the graphs have no form on rows.
    """
    network = bundle.manifest.network
    if not bundle.manifest.rows or not isinstance(network, SpairNetwork):
        return {}, {}
    program = make_row_program(graphs["net_l"], graphs["net_r"], network.scales)
    paths = {what: f"graphs/{precision}/{name}" for what, name in FILES.items()}
    return {"rows": {precision: paths}}, dict(zip(paths.values(), program.to_files(), strict=True))
