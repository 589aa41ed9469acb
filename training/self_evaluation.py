"""Evaluation of a finished run on its held-out pairs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..network import SPAIR
from ..runtime.bounds.files import read_text
from ..runtime.bounds.values import parse_json
from ..runtime.errors import UserError
from ..runtime.files import write_atomically
from ..runtime.images import Picture, write_image
from .data.corpus import PicturePair
from .evaluation.comparison import Example, Measured, MeasureSetting, compare
from .evaluation.protocols import TaskProtocol, find_protocol
from .evaluation.report.montage import draw_montage, make_column
from .evaluation.restored import average_rows

FOLDER = "held-out"
"""Name of the folder inside a run's folder that holds the scores and pictures."""
SCORES = "scores.json"
"""Name of the file of scores in that folder."""


def evaluate_held_out(
    model: SPAIR, pairs: Sequence[PicturePair], task: str, folder: Path, *, pictures: int, threshold: int
) -> dict[str, Any]:
    """Restore, measure and draw held-out pairs.

    Args:
        model: the trained network, on the device that computes.
        pairs: pictures with their clean ones; at least one.
        task: rain, raindrop, shadow or blur; its protocol says which measures count.
        folder: the run's folder; `FOLDER` in it receives `SCORES` and one PNG for each drawn picture.
        pictures: how many are drawn, evenly spread over all.
        threshold: difference, in 255ths, above which a pixel without a mask file is distorted.

    Returns:
        What `read_scores` returns.
    """
    protocol, out = find_protocol(task), folder / FOLDER
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("*.png"):
        old.unlink()
    every = -(-len(pairs) // pictures) if pictures else len(pairs) + 1  # rounded up
    rows = []
    for index, pair in enumerate(pairs):
        measured = compare(_restore(model, pair, threshold), MeasureSetting(protocol))
        rows.append(measured.row)
        if pictures and index % every == 0:
            write_image(out / f"{pair.name.replace('/', '-')}.png", Picture(_draw(measured, protocol)))
    scores = {
        "protocol": protocol.name,
        "count": len(rows),
        **average_rows(rows, protocol.measures),
        "input": average_rows([row["input"] for row in rows], protocol.measures),
        "images": rows,
        "folder": FOLDER,
        "pictures": sorted(path.name for path in out.glob("*.png")),
    }
    write_atomically(out / SCORES, json.dumps(scores, allow_nan=False, indent=1).encode())
    return scores


def await_scores(folder: Path) -> None:
    """Drop the scores of weights that are about to change."""
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    write_atomically(folder / FOLDER / SCORES, json.dumps(None).encode())


def are_scores_due(folder: Path) -> bool:
    """Tell whether a run stopped before its evaluation."""
    return (folder / FOLDER / SCORES).is_file() and read_scores(folder) is None


def read_scores(folder: Path) -> dict[str, Any] | None:
    """Read the scores of a finished run.

    Args:
        folder: the run's folder.

    Returns:
        `protocol`; `count` of pictures; the mean of each measure, and in `input` that of the degraded pictures;
        `images`, the same of each picture; `folder`, the name of the folder in the run's folder, and `pictures`, the
        names of the drawings in it. None where no pair was held out, the run is older than this evaluation, or it is
        not evaluated yet.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / FOLDER / SCORES
    try:
        return parse_json(read_text(path)) if path.is_file() else None
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the scores {path}: {error}; remove the file") from error


@torch.inference_mode()
def _restore(model: SPAIR, pair: PicturePair, threshold: int) -> Example:
    image, target = (picture.astype(np.float32) / np.float32(255) for picture in (pair.degraded, pair.clean))
    device = next(model.parameters()).device
    restored = model(torch.from_numpy(image).permute(2, 0, 1)[None].to(device))
    output = restored.image[0].float().permute(1, 2, 0).cpu().numpy()
    found = restored.mask[0, 0].cpu().numpy() > 0
    return Example(pair.name, image, target, np.ascontiguousarray(output), found, pair.find_truth(threshold))


def _draw(measured: Measured, protocol: TaskProtocol) -> np.ndarray:
    return draw_montage(measured, protocol, [("this run", make_column(measured, protocol))])
