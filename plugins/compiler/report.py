"""Resource report of a library's kernels.

The report is JSON or a text table. It says what every kernel takes of a GPU: registers, shared memory, warps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .kernels.kernel import Kernel
from .library.embedding import Label

_COLUMNS = {
    "sm": "sm",
    "registers": "registers",
    "spills": "spills",
    "shared": "shared",
    "mma": "mma",
    "warps": "warps",
    "blocks": "blocks",
    "occupancy": "occupancy",
    "tile": "tile",
    "embedded": "embedded",
}
"""Heading of each entry of `describe_kernel` that the text table shows."""


def describe_kernel(kernel: Kernel, label: Label) -> dict[str, Any]:
    """Describe a kernel as JSON values for the report.

    Shared memory, spills, stack and code are in bytes. "embedded" says in which form the library has the kernel:
    "cubin", "ptx", or "cubin+ptx". With "ptx" alone the numbers are those of an architecture that only lends its PTX.
    "warp_instructions_per_pixel" is counted for the layer that the name of a `convolve_layer` says, for other
    convolutions for one of 3 x 3 from 64 to 64 channels; "tensor_share" is the share of them that multiply on tensor
    cores. Both are None for other kernels, and where the code is not understood.
    """
    forms = {"cubin": kernel.architecture in label.architectures, "ptx": kernel.architecture == label.fallback}
    return {
        "name": kernel.name,
        "sm": kernel.architecture,
        "registers": kernel.registers,
        "spills": kernel.spills,
        "stack": kernel.stack,
        "shared": kernel.shared + kernel.static_shared,
        "mma": kernel.tensor_instructions(),
        "warp_instructions_per_pixel": None if kernel.count is None else round(kernel.count.per_pixel, 1),
        "tensor_share": None if kernel.count is None else round(kernel.count.tensor_share, 3),
        "tile": list(kernel.tile),
        "warps": kernel.warps,
        "blocks": kernel.blocks,
        "occupancy": round(kernel.occupancy, 3),
        "ptx_version": "{}.{}".format(*kernel.ptx_version),
        "ptxas": kernel.cuda,
        "bytes": len(kernel.code),
        "embedded": "+".join(name for name, is_there in forms.items() if is_there),
    }


def resource_report(label: Label, kernels: Sequence[Kernel]) -> dict[str, Any]:
    """Report on all kernels of a library.

    "kernels" has one entry for each kernel and architecture.
    """
    return {
        "target": label.target,
        "version": label.version,
        "architectures": list(label.architectures),
        "fallback": label.fallback,
        "kernels": [describe_kernel(kernel, label) for kernel in kernels],
    }


def format_report(report: dict[str, Any]) -> str:
    """Format the report as a text table."""
    rows = [["kernel", *_COLUMNS.values()]]
    for entry in report["kernels"]:
        cells = [f"{100 * entry[key]:.0f} %" if key == "occupancy" else _text(entry[key]) for key in _COLUMNS]
        rows.append([entry["name"], *cells])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
    names = ", ".join(f"sm_{architecture}" for architecture in report["architectures"])
    head = (
        f"Kernels of the plugin library for {report['target']}, spair-rt {report['version']}: "
        f"machine code for {names}, PTX of sm_{report['fallback']} for later GPUs.\n"
        "Registers of a thread; bytes spilled, and of shared memory of a block; tensor-core instructions; blocks that\n"
        "a multiprocessor holds, and the share of its warps. Counted from the code, nothing was timed.\n"
    )
    return "\n".join([head, *lines]) + "\n"


def _text(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, list) else str(value)
