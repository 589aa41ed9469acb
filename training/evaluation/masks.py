"""Evaluation of found masks on photographs without clean pictures."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...runtime.clock import CountProgress
from ...runtime.errors import UserError
from ..data.pairs import Pair, listed, read_pair
from .comparison import lab_errors
from .fingerprints import fingerprint
from .metrics import MASK_MEASURES, LabSums, MaskCounts
from .protocols import REGIONS, EvaluationProtocol, TaskProtocol, find_protocol
from .restored import Restore, average_rows, restore_picture


class Located(NamedTuple):
    """A picture with its found mask and its true mask."""

    row: dict[str, Any]
    """Measures of the picture, the entry of `images` in the report."""
    image: np.ndarray
    """Picture, float32 [H, W, 3], RGB 0..1."""
    predicted: np.ndarray
    """Found mask, bool [H, W]."""
    truth: np.ndarray
    """True mask, bool [H, W]."""


def evaluate_masks(
    restore: Restore,
    pairs: Sequence[Pair],
    protocol: EvaluationProtocol = "shadow",
    *,
    model: str = "",
    progress: CountProgress | None = None,
    keep: Callable[[Located], None] | None = None,
) -> dict[str, Any]:
    """Compare the masks that a network finds with true masks.

    Clean pictures are not read. Masks are measured at their own size. After each picture `keep` receives the compared
    masks, and `progress` receives (done, total, name).

    The report has the keys of `restored.evaluate`, so that readers of its reports can read this one:
        mask, density, true_density: means over pictures, and values of the picture in each row of `images`; mask also
            has `ber` (see `MaskCounts.measures`).
        mask_pooled: these six measures over all pixels of all pictures together, so that large pictures count more. The
            BER of the shadow papers is this one: `ComputeBERonSet.m` by the authors of SBU (Vicente et al., ECCV 2016;
            in github.com/xw-hu/CUHK-Shadow) adds up pixels over the set.
        mask_source is "files", mask_rule, quantize and resize are null, and shift is 0.
        The protocol's measures of pictures are null everywhere.

    Raises:
        UserError: there are no pairs, a pair has no mask, the protocol is unknown, or the network predicts no masks.
        GateError: as `restored.evaluate`.
        ValueError: as `restored.evaluate`.
    """
    task = find_protocol(protocol)
    _check_masks(pairs)
    rows, pooled = [], MaskCounts()
    for done, pair in enumerate(pairs, 1):
        located, counts = _locate(restore, pair, task, model)
        rows.append(located.row)
        pooled = pooled.plus(counts)
        if keep is not None:
            keep(located)
        if progress is not None:
            progress(done, len(pairs), pair.name)
    report: dict[str, Any] = {"model": model, "protocol": protocol, "quantize": None, "resize": None, "shift": 0}
    report |= {"count": len(rows), "files_sha256": fingerprint(pairs)}
    report |= _blank(task) | average_rows(rows, ("density", "true_density")) | {"input": _blank(task)}
    report |= {"mask": average_rows([row["mask"] for row in rows], (*MASK_MEASURES, "ber"))}
    report |= {"mask_pooled": pooled.measures() | pooled.densities(), "mask_source": "files", "mask_rule": None}
    return report | {"images": rows}


def _locate(restore: Restore, pair: Pair, protocol: TaskProtocol, model: str) -> tuple[Located, MaskCounts]:
    """Find the mask of one picture and compare it."""
    image, _, truth = read_pair(pair)
    assert truth is not None  # checked by `_check_masks`
    _, predicted = restore_picture(restore, image, pair)
    if predicted is None:
        raise UserError(
            f"{model or 'the network'} predicts no masks, which is all that can be measured without clean pictures: "
            "give these as well, or a network that predicts masks"
        )
    counts, (height, width) = MaskCounts.of(predicted, truth), truth.shape
    row: dict[str, Any] = {"name": pair.name, "width": width, "height": height} | counts.densities()
    row |= {"mask": counts.measures(), "mask_source": "files"} | _blank(protocol)
    row["input"] = _blank(protocol)
    return Located(row, image, predicted, truth), counts


def _blank(protocol: TaskProtocol) -> dict[str, Any]:
    """Return the measures of pictures, without values."""
    blank: dict[str, Any] = dict.fromkeys(protocol.measures)
    return blank | lab_errors(dict.fromkeys(REGIONS, LabSums())) if protocol.lab else blank


def _check_masks(pairs: Sequence[Pair]) -> None:
    """Check that there are pairs and all have masks."""
    if not pairs:
        raise UserError("nothing to evaluate: the list of pictures is empty")
    bare = [pair.name for pair in pairs if pair.mask is None]
    if bare:
        raise UserError(f"masks are compared with true ones, but {listed(bare)} came without: give their masks")
