"""`spair evaluate`: measure a model on degraded pictures with known targets, or with true masks alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..shared.models import Execution, choose_path, open_model
from ..shared.options import Backend, Factory, ForceDense, ForcePacked, Json, Model, Precision, Threads, Tile
from ..shared.output import counting, deliver
from .kinds import Evaluation, mask_kind, restored_kind
from .results import Drawing, open_results
from .sources import Sources, split_names

if TYPE_CHECKING:
    from ...runtime import Restorer
    from ...training.data.pairs import Pair

EXAMPLES = """\b
Examples:
  spair evaluate rain-tiny.spair --input rainy --target clean --out scores
  spair evaluate shadow.spair --input shadow --target free --mask masks --protocol shadow --json
  spair evaluate shadow.spair --input ShadowImages --mask ShadowMasks --out scores
  spair evaluate blur.spair --dataset gopro --root GOPRO_Large --split test
  spair evaluate rain-tiny.spair --dataset rain100l --root Rain100L --split test --only rain-001,rain-005
  spair evaluate rain-tiny.spair --compare prenet.spair --quantize floor --input rainy --target clean
  spair evaluate prenet.pth --factory models.prenet:build --quantize floor --input rainy --target clean
"""

Protocol = Literal["rain", "raindrop", "shadow", "blur"]
Quantize = Literal["round", "floor", "none"]


def evaluate(
    model: Model,
    inputs: Annotated[Path | None, typer.Option("--input", help="Folder of degraded pictures.")] = None,
    target: Annotated[
        Path | None, typer.Option(help="Folder of clean pictures, paired with the inputs by file stem.")
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(help="Folder of true masks, paired likewise; without --target the masks alone are measured."),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(metavar="LAYOUT", help="A data set as it is distributed, instead of folders.")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="With --dataset: its folder.")] = None,
    split: Annotated[str | None, typer.Option(help="With --dataset: which of its parts, such as test.")] = None,
    only: Annotated[
        str | None,
        typer.Option(metavar="STEMS", help="Measure these pictures only: names as in the report, such as 1,5,14."),
    ] = None,
    protocol: Annotated[
        Protocol | None,
        typer.Option(help="Which task's measures; the data set's when left out, or rain."),
    ] = None,
    quantize: Annotated[
        Quantize, typer.Option(help="Output to 8 bit: round as a saved file, floor as published deraining numbers.")
    ] = "round",
    resize: Annotated[
        int | None,
        typer.Option(min=1, metavar="SIDE", help="Measure at SIDE x SIDE pixels, as shadow tables do at 256."),
    ] = None,
    shift: Annotated[
        int,
        typer.Option(
            min=0, metavar="PX", help="Crop PX pixels and shift by up to a third to fit best: 15 as for Levin's set."
        ),
    ] = 0,
    compare: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PEER",
            help="Another bundle (other people's networks too) or SPAIR checkpoint on the same pictures; repeatable.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for report.md, report.json and pictures.")] = None,
    pictures: Annotated[
        int | None, typer.Option(min=0, help="With --out: draw the first so many only; all when left out.")
    ] = None,
    separate: Annotated[
        bool, typer.Option("--separate", help="With --out: also restored, error and mask as files of their own.")
    ] = False,
    precision: Precision = "fp32",
    backend: Backend = "auto",
    threads: Threads = None,
    tile: Tile = None,
    force_dense: ForceDense = False,
    force_packed: ForcePacked = False,
    factory: Factory = None,
    multiple: Annotated[int, typer.Option(min=1, help="With --factory: sizes must be multiples of this inside.")] = 1,
    as_json: Json = False,
) -> None:
    """Measure on pictures with known targets.

    Prints PSNR and SSIM before and after, and errors of masks and shadows. With --input and --mask alone: precision,
    recall, IoU and balanced error rate of the masks, as means over pictures and over all pixels together.
    """
    sources = Sources(inputs, target, mask, dataset, root, split, split_names(only))
    make_kind = mask_kind if sources.masks_alone else restored_kind
    kind = make_kind(protocol or sources.task() or "rain", quantize, resize, shift)
    execution = Execution(precision, backend, threads, tile, choose_path(force_dense, force_packed))
    paths = [model, *(compare or [])]
    with ExitStack() as stack:
        results = stack.enter_context(open_results(out, kind, Drawing(tuple(_labels(paths)), pictures, separate)))
        restorers = [stack.enter_context(open_model(model, execution, factory=factory, multiple=multiple))]
        restorers += [stack.enter_context(open_model(peer, execution)) for peer in paths[1:]]
        for path, restorer in zip(paths, restorers, strict=True):
            kind.check(restorer, path)
        pairs = sources.find()
        *peers, report = (
            _measure(paths[number], restorers[number], pairs, kind, None if results is None else results.keeper(number))
            for number in (*range(1, len(paths)), 0)  # peers first: a montage shows what all made of a picture
        )
        report |= sources.to_json() | {"published": kind.publish(dataset, split, len(pairs))}
        if peers:
            report["compare"] = [{key: one[key] for key in one if key != "images"} for one in peers]
        if results is not None:
            results.finish(report)
    deliver(report, as_json, partial(kind.show, out=out))


def _labels(paths: list[Path]) -> list[str]:
    from ...training.evaluation.report.markdown import label_models

    return label_models([str(path) for path in paths])


def _measure(
    path: Path, restorer: Restorer, pairs: list[Pair], kind: Evaluation, keep: Callable[[Any], None] | None
) -> dict[str, Any]:
    with counting(f"{path.name}:") as progress:
        return kind.measure(restorer, pairs, model=str(path), progress=progress, keep=keep)
