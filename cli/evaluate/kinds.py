"""`spair evaluate`: the two kinds of evaluation, of restored pictures and of masks alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .tables import show_masks, show_restored

if TYPE_CHECKING:
    import numpy as np

    from ...runtime import Restorer
    from ...training.evaluation.metrics import QuantizeMode
    from ...training.evaluation.report.montage import Column, Models


@dataclass(frozen=True)
class Evaluation:
    """What is measured, and how that is drawn and said."""

    measure: Callable[..., dict[str, Any]]
    """(restorer, pairs, model=, progress=, keep=) -> report."""
    make_column: Callable[[Any], Column]
    """What `measure` hands to `keep` -> what a model made of one picture, to be drawn."""
    draw: Callable[[Any, Models], np.ndarray]
    """(what `measure` hands to `keep`, what each model made of it) -> the montage of one picture."""
    draw_parts: Callable[[Any], dict[str, np.ndarray]]
    """The same as pictures of their own, by name."""
    render: Callable[[dict[str, Any], dict[str, str]], str]
    """(report, name -> path of its montage) -> Markdown."""
    show: Callable[..., None]
    """(report, console, out=) prints it."""
    publish: Callable[[str | None, str | None, int], dict[str, Any] | None]
    """(data set, split, number of pictures) -> the published figures beside it."""
    needs_masks: bool = False
    """Whether a network without masks leaves nothing to measure."""

    def check(self, restorer: Restorer, path: Path) -> None:
        """Raise UserError if a model cannot be measured in this way."""
        from ...runtime.errors import UserError

        if self.needs_masks and not restorer.has_mask:
            raise UserError(
                f"{path} predicts no masks, which is all that --input and --mask alone can measure: "
                "give --target as well, or a model that predicts masks"
            )


def restored_kind(task: str, quantize: QuantizeMode, resize: int | None, shift: int) -> Evaluation:
    """Restored pictures against clean ones."""
    from ...training.evaluation.protocols import find_protocol
    from ...training.evaluation.published import describe_published
    from ...training.evaluation.report.maps import draw_parts
    from ...training.evaluation.report.montage import draw_montage, make_column
    from ...training.evaluation.report.restored import render_report
    from ...training.evaluation.restored import evaluate

    protocol = find_protocol(task)
    return Evaluation(
        measure=partial(evaluate, protocol=protocol.name, quantize=quantize, resize=resize, shift=shift),
        make_column=partial(make_column, protocol=protocol),
        draw=lambda measured, models: draw_montage(measured, protocol, models),
        draw_parts=draw_parts,
        render=render_report,
        show=show_restored,
        publish=partial(describe_published, task),
    )


def mask_kind(task: str, quantize: QuantizeMode, resize: int | None, shift: int) -> Evaluation:
    """Found masks against true ones.

    Raises:
        UserError: options that are about clean pictures.
    """
    from ...runtime.errors import UserError
    from ...training.evaluation.masks import evaluate_masks
    from ...training.evaluation.protocols import find_protocol
    from ...training.evaluation.report.maps import draw_mask_parts
    from ...training.evaluation.report.masks import render_mask_report
    from ...training.evaluation.report.montage import draw_mask_montage, make_mask_column

    if quantize != "round" or resize is not None or shift:
        raise UserError(
            "--quantize, --resize and --shift say how pictures are compared with clean ones, but --input and --mask "
            "alone compare masks: leave them out, or give --target"
        )
    return Evaluation(
        measure=partial(evaluate_masks, protocol=find_protocol(task).name),
        make_column=make_mask_column,
        draw=draw_mask_montage,
        draw_parts=draw_mask_parts,
        render=render_mask_report,
        show=show_masks,
        publish=lambda dataset, split, count: None,
        needs_masks=True,
    )
