"""Verb `evaluate`, which measures models on pictures."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from ..shared.deprecation import TARGET, take_renamed
from ..shared.models import Execution, choose_path, open_model, read_expected, read_flips, read_threshold
from ..shared.options import (
    Backend,
    ExpectDigest,
    Factory,
    Flips,
    ForceDense,
    ForcePacked,
    Json,
    Model,
    Precision,
    Threads,
    Threshold,
    Tile,
    TrustCode,
)
from ..shared.output import counting, deliver, note
from ..shared.places import check_writable
from . import options
from .tables import show_masks, show_restored

EXAMPLES = """\b
Examples:
  spair evaluate rain-tiny.spair --input rainy --clean clean --out scores
  spair evaluate shadow.spair --input shadow --clean free --mask masks --protocol shadow --json
  spair evaluate shadow.spair --input ShadowImages --mask ShadowMasks --out scores
  spair evaluate blur.spair --dataset gopro --root GOPRO_Large --split test
  spair evaluate rain-tiny.spair --dataset rain100l --root Rain100L --split test --only rain-001,rain-005
  spair evaluate rain-tiny.spair --compare prenet.spair --quantize floor --input rainy --clean clean
  spair evaluate rain --thresholds 0.1,0.15,0.25,0.35,0.5 --input rainy --clean clean --out scores
  spair evaluate prenet.pth --factory models.prenet:build --quantize floor --input rainy --clean clean
"""


def evaluate(
    model: Model,
    inputs: options.Inputs = None,
    clean: options.Clean = None,
    target: Annotated[Path | None, typer.Option(TARGET.old, hidden=True)] = None,
    mask: options.Mask = None,
    dataset: options.Dataset = None,
    root: options.Root = None,
    split: options.Split = None,
    only: options.Only = None,
    protocol: options.Protocol = None,
    quantize: options.Quantize = "round",
    resize: options.Resize = None,
    shift: options.Shift = 0,
    compare: options.Compare = None,
    thresholds: options.Thresholds = None,
    precision: Precision = "fp32",
    backend: Backend = "auto",
    threads: Threads = None,
    tile: Tile = None,
    force_dense: ForceDense = False,
    force_packed: ForcePacked = False,
    trust_code: TrustCode = False,
    expect_digest: ExpectDigest = None,
    threshold: Threshold = None,
    flips: Flips = 1,
    factory: Factory = None,
    multiple: options.Multiple = 1,
    out: options.Out = None,
    pictures: options.Pictures = None,
    separate: options.Separate = False,
    as_json: Json = False,
) -> None:
    """Measure models against clean pictures or true masks.

    Prints PSNR and SSIM before and after, and errors of masks and shadows. With --input and --mask alone: precision,
    recall, IoU and balanced error rate of the masks, as means over pictures and over all pixels together.
    """
    clean = take_renamed(clean, target, TARGET)
    from ...export.cost import measure_model
    from ...training.evaluation.session.kinds import Comparison, choose_kind
    from ...training.evaluation.session.results import Drawing, open_results
    from ...training.evaluation.session.run import OpenModel, evaluate_models
    from ...training.evaluation.session.sources import Sources, split_names
    from ...training.evaluation.session.thresholds import read_thresholds

    sources = Sources(inputs, clean, mask, dataset, root, split, split_names(only))
    task = protocol or sources.task() or "rain"
    kind = choose_kind(sources.masks_alone, task, Comparison(quantize, resize, shift))
    path = choose_path(force_dense, force_packed)
    execution = Execution(precision, backend, threads, tile, path, trust_code, read_expected(expect_digest))
    own = replace(execution, threshold=read_threshold(threshold), flips=read_flips(flips))  # peers keep theirs
    swept = read_thresholds(thresholds, sources.masks_alone, own.threshold)
    peers = compare or []
    if out is not None:
        check_writable(out)
    with ExitStack() as stack:
        results = stack.enter_context(open_results(out, kind, Drawing.of([model, *peers], pictures, separate)))
        restorer = stack.enter_context(open_model(model, own, factory=factory, multiple=multiple))
        opened = [(model, restorer), *((peer, stack.enter_context(open_model(peer, execution))) for peer in peers)]
        models = [OpenModel(path, one, measure_model(path, one.network)) for path, one in opened]
        report = evaluate_models(models, sources, kind, results, counting, swept)
    for reason in report["left_out"]:
        note(reason)
    deliver(report, as_json, partial(show_masks if sources.masks_alone else show_restored, out=out))
