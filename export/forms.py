"""Forms in which a foreign network can be exported.

The freest form whose graphs equal PyTorch is taken: any number and size of pictures, one picture of any size, or one
picture of listed sizes.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import torch

from ..runtime.backends.onnxruntime import GraphRunError
from ..runtime.clock import ReportProgress
from ..runtime.errors import GateError, UserError
from ..runtime.opening import name_part
from .foreign import Adaptation, foreign_spec
from .foreign.fixed import find_fixed_pooling
from .graphs import GraphSpec, export_graph
from .parity.check import check_parity

FREE, ONE, FIXED = "any number of pictures of any size", "one picture of any size", "one picture of listed sizes"
"""Names of the forms."""


@dataclasses.dataclass(frozen=True)
class Form:
    """Form that held."""

    name: str
    """One of `FREE`, `ONE` and `FIXED`."""
    graphs: dict[str, onnx.ModelProto]
    """Graphs by part. With listed sizes, the first is "model" and another "model_HxW"."""
    files: dict[str, Path]
    """File of each graph."""
    parity: dict[str, Any]
    """See `check_parity`."""
    notes: tuple[str, ...]
    """Sentences that say why freer forms did not hold."""


def find_form(adaptation: Adaptation, folder: Path, progress: ReportProgress) -> Form:
    """Export a foreign network in the freest form that holds.

    Args:
        adaptation: the network.
        folder: existing folder for the files of the graphs.
        progress: called before each step.

    Raises:
        GateError: no form holds; the message says why for each.
    """
    reasons: list[str] = []
    for name, specs in _list_forms(adaptation):
        progress(f"exporting {name}")
        try:
            return _export(name, specs, folder, progress, tuple(reasons))
        except (UserError, GateError) as error:
            said = str(error).replace(type(adaptation.module).__name__, adaptation.name)
            reasons.append(f"{name} fails: {said.removesuffix('; make its forward traceable by torch.export')}")
    raise GateError(f"{adaptation.name} cannot be exported: {'; '.join(reasons)}; {_advise(adaptation)}")


def _list_forms(adaptation: Adaptation) -> Iterator[tuple[str, dict[str, GraphSpec]]]:
    free = foreign_spec(adaptation)
    yield FREE, {"model": free}
    (name, (example, divisor)), *_ = free.inputs.items()
    yield ONE, {"model": dataclasses.replace(free, inputs={name: (example[:1], divisor)}, free_batch=False)}
    if adaptation.interface.sizes:
        yield (
            FIXED,
            {
                name_part(size, place): dataclasses.replace(
                    free,
                    inputs={name: (torch.rand(1, adaptation.interface.channels, *size), divisor)},
                    free_batch=False,
                    free_size=False,
                    any_size=False,
                )
                for place, size in enumerate(adaptation.interface.sizes)
            },
        )


def _export(
    name: str, specs: dict[str, GraphSpec], folder: Path, progress: ReportProgress, notes: tuple[str, ...]
) -> Form:
    graphs, files = {}, {}
    for part, spec in specs.items():
        graphs[part] = export_graph(spec)
        files[part] = folder / f"{part}.onnx"
        onnx.save(graphs[part], files[part])
    parity = _compare(specs, files, progress)
    if not parity["passed"]:
        problems = [result["problem"] for result in parity["modules"].values() if result["problem"]]
        raise GateError(
            f"the graph differs from PyTorch by {parity['max_abs']:.2e} of what the network does, allowed "
            f"{parity['tolerance']:.0e}" + (f" ({problems[0]})" if problems else "")
        )
    return Form(name, graphs, files, parity, notes)


def _compare(specs: dict[str, GraphSpec], files: dict[str, Path], progress: ReportProgress) -> dict[str, Any]:
    """Compare graphs with PyTorch.

    Raises:
        GateError: ONNX Runtime or the module fails on a size.
    """
    try:
        return check_parity(specs, files, None, progress)
    except GraphRunError as error:  # its own words name a temporary file
        raise _say_failure(error.__cause__ or error) from error
    except UserError:
        raise
    except Exception as error:  # the exceptions of foreign modules share no base class
        raise _say_failure(error) from error


def _say_failure(error: BaseException) -> GateError:
    return GateError(f"the graph fails on another size than the traced one, {_shorten(error)}")


def _shorten(error: BaseException) -> str:
    """Shorten an error of ONNX Runtime or a module."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    found = re.search(r"while running (\w+) node.*?Status Message: (?:/\S+ .*?\) )?(.*)", text)
    text = f"in its operator {found[1]} ({found[2]}" if found else f"({text}"
    return f"{text[:160].rstrip()})"


def _advise(adaptation: Adaptation) -> str:
    pooling = find_fixed_pooling(adaptation)
    if pooling:
        pooling = f"it pools to a fixed number of cells ({pooling}), which no graph of free sizes can; "
    if adaptation.interface.sizes:
        return f"{pooling}make its forward traceable by torch.export"
    return (
        f"{pooling}its forward computes with Python numbers made of the picture's size; give the sizes to export it "
        "for, as --sizes 256x256,512x512, or make its forward traceable by torch.export"
    )
