"""Kinds of evaluation, by pictures and by masks alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ....runtime.clock import CountProgress
from ....runtime.errors import UserError
from ...data.pairs import Pair
from ..masks import evaluate_masks
from ..metrics import QuantizeMode
from ..protocols import EvaluationProtocol, find_protocol
from ..published import describe_published
from ..report.maps import draw_mask_parts, draw_parts
from ..report.masks import render_mask_report
from ..report.montage import Column, Models, draw_mask_montage, draw_montage, make_column, make_mask_column
from ..report.restored import render_report
from ..restored import Restore, evaluate

if TYPE_CHECKING:
    from ....runtime import Restorer

Keep = Callable[[Any], None]
"""Takes each picture with its measures: a `Measured` or a `Located`, by the kind of evaluation."""


@dataclass(frozen=True)
class Comparison:
    """Comparison of restored pictures with clean ones.

    `comparison.MeasureSetting` explains the fields.
    """

    quantize: QuantizeMode = "round"
    resize: int | None = None
    """Side in pixels that pictures are resized to; None for their own size."""
    shift: int = 0
    """Border in pixels that is cropped and within which the best shift is searched."""


class Kind(Protocol):
    """Kind of evaluation, with its measures, pictures and report."""

    def check(self, restorer: Restorer, path: Path) -> None:
        """Refuse a model that this kind cannot measure.

        Raises:
            UserError: the model lacks what is measured.
        """

    def measure(
        self, restorer: Restore, pairs: Sequence[Pair], *, model: str, progress: CountProgress, keep: Keep | None
    ) -> dict[str, Any]:
        """Measure a model and return its report."""

    def make_column(self, measured: Any) -> Column:
        """Make the panels of one model in a montage."""

    def draw(self, measured: Any, models: Models) -> np.ndarray:
        """Draw the montage of one picture, uint8 [H, W, 3]."""

    def draw_parts(self, measured: Any) -> dict[str, np.ndarray]:
        """Draw the parts of a montage separately, by name."""

    def render(self, report: dict[str, Any], pictures: Mapping[str, str]) -> str:
        """Render a report as Markdown.

        `pictures` has the path of each montage by name.
        """

    def publish(self, dataset: str | None, split: str | None, count: int) -> dict[str, Any] | None:
        """Return published figures to compare `count` pictures with."""


@dataclass(frozen=True)
class RestoredKind:
    """Evaluation of restored pictures against clean ones."""

    protocol: EvaluationProtocol
    comparison: Comparison

    def check(self, restorer: Restorer, path: Path) -> None:
        """Accept every model."""

    def measure(
        self, restorer: Restore, pairs: Sequence[Pair], *, model: str, progress: CountProgress, keep: Keep | None
    ) -> dict[str, Any]:
        """Measure by `evaluate`."""
        how = self.comparison
        return evaluate(
            restorer, pairs, self.protocol, how.quantize,
            resize=how.resize, shift=how.shift, model=model, progress=progress, keep=keep,
        )  # fmt: skip

    def make_column(self, measured: Any) -> Column:
        """Make the restored picture and its errors."""
        return make_column(measured, find_protocol(self.protocol))

    def draw(self, measured: Any, models: Models) -> np.ndarray:
        """Draw by `draw_montage`."""
        return draw_montage(measured, find_protocol(self.protocol), models)

    def draw_parts(self, measured: Any) -> dict[str, np.ndarray]:
        """Draw restored picture, error map and mask map."""
        return draw_parts(measured)

    def render(self, report: dict[str, Any], pictures: Mapping[str, str]) -> str:
        """Render by `render_report`."""
        return render_report(report, pictures)

    def publish(self, dataset: str | None, split: str | None, count: int) -> dict[str, Any] | None:
        """Return the published figures of the task."""
        return describe_published(self.protocol, dataset, split, count)


@dataclass(frozen=True)
class MaskKind:
    """Evaluation of found masks against true ones."""

    protocol: EvaluationProtocol

    def check(self, restorer: Restorer, path: Path) -> None:
        """Refuse a model without masks."""
        if not restorer.has_mask:
            raise UserError(
                f"{path} predicts no masks, which is all that --input and --mask alone can measure: "
                "give --clean as well, or a model that predicts masks"
            )

    def measure(
        self, restorer: Restore, pairs: Sequence[Pair], *, model: str, progress: CountProgress, keep: Keep | None
    ) -> dict[str, Any]:
        """Measure by `evaluate_masks`."""
        return evaluate_masks(restorer, pairs, self.protocol, model=model, progress=progress, keep=keep)

    def make_column(self, measured: Any) -> Column:
        """Make the found mask."""
        return make_mask_column(measured)

    def draw(self, measured: Any, models: Models) -> np.ndarray:
        """Draw by `draw_mask_montage`."""
        return draw_mask_montage(measured, models)

    def draw_parts(self, measured: Any) -> dict[str, np.ndarray]:
        """Draw the mask map."""
        return draw_mask_parts(measured)

    def render(self, report: dict[str, Any], pictures: Mapping[str, str]) -> str:
        """Render by `render_mask_report`."""
        return render_mask_report(report, pictures)

    def publish(self, dataset: str | None, split: str | None, count: int) -> dict[str, Any] | None:
        """Return None, since no published figures measure masks."""
        return None


def choose_kind(masks_alone: bool, protocol: str, comparison: Comparison) -> Kind:
    """Choose the kind of evaluation.

    Args:
        masks_alone: whether there are true masks but no clean pictures.
        protocol: name of the task whose measures are taken.
        comparison: options for comparing with clean pictures.

    Raises:
        UserError: options about clean pictures are given for masks alone; the protocol does not exist.
    """
    name = find_protocol(protocol).name
    if not masks_alone:
        return RestoredKind(name, comparison)
    if comparison != Comparison():
        raise UserError(
            "--quantize, --resize and --shift say how pictures are compared with clean ones, but --input and --mask "
            "alone compare masks: leave them out, or give --clean"
        )
    return MaskKind(name)
