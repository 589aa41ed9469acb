"""Verb `restore`, which restores pictures, videos, cameras and streams."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..shared.failures import FAILED
from ..shared.frames import counting_frames
from ..shared.help import INTERRUPTED
from ..shared.models import Execution, choose_path, list_causes, open_model, read_expected, read_flips, read_threshold
from ..shared.options import (
    Backend,
    ExpectDigest,
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
from ..shared.output import counting, deliver, note, tell
from ..shared.places import check_writable, make_folder
from .live import check_options, find_source, restore_source
from .options import (
    AcceptDamaged,
    Actors,
    Crf,
    Format,
    Frames,
    Inputs,
    MaxPixels,
    Out,
    Preset,
    Quality,
    Range,
    Ray,
    Recursive,
    Retries,
    Reuse,
    SaveMask,
    Seconds,
    Show,
    SkipExisting,
    Suffix,
    VideoCodec,
)
from .tables import describe_failure, show_report

if TYPE_CHECKING:
    from ...runtime.batch.jobs import BatchReport, FailureRecord
    from ...runtime.batch.planning import Job
    from ...runtime.batch.saving import Saving
    from ...runtime.live.restoring import LiveOptions
    from ...serving.cluster.setting import ClusterSetting, ModelSetting

INTERRUPTED_BATCH = "interrupted"
"""Reason in the report of a batch that Ctrl-C ended."""

EXAMPLES = """\b
Examples:
  spair restore rain photo.jpg --out restored
  spair restore rain-tiny.spair photos 'more/*.png' --out restored --recursive --save-mask --skip-existing
  spair restore rain photos --out restored --threshold best
  spair restore rain clip.mp4 --out clip-restored.mp4 --crf 15
  spair restore rain-tiny.spair photos --out restored --ray auto
  spair restore rain camera:0,size=640x480 --out camera.mkv --seconds 60
  spair restore rain camera:0 --show
  spair restore rain rtsp://192.168.1.7:554/stream --out rtmp://192.168.1.8/live/restored
"""


def restore(
    context: typer.Context,
    model: Model,
    inputs: Inputs,
    out: Out = None,
    recursive: Recursive = False,
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
    save_mask: SaveMask = False,
    skip_existing: SkipExisting = False,
    max_pixels: MaxPixels = None,
    format: Format = None,
    quality: Quality = None,
    suffix: Suffix = "",
    float_range: Range = None,
    accept_damaged: AcceptDamaged = False,
    codec: VideoCodec = None,
    crf: Crf = None,
    preset: Preset = None,
    reuse: Reuse = "off",
    ray: Ray = None,
    actors: Actors = None,
    show: Show = False,
    retries: Retries = None,
    frames: Frames = None,
    seconds: Seconds = None,
    as_json: Json = False,
) -> None:
    """Restore picture and video files, or a camera or stream.

    The exit code is 0 only when none failed, and 130 after Ctrl-C, which ends the batch or the camera with its report.
    """
    source = find_source(inputs)
    check_options(context, source, out)
    path = choose_path(force_dense, force_packed)
    execution = Execution(
        precision,
        backend,
        threads,
        tile,
        path,
        trust_code,
        read_expected(expect_digest),
        read_threshold(threshold),
        read_flips(flips),
    )
    if source is not None:
        limits = _read_limits(retries, frames, seconds, (codec, crf, preset, reuse))
        restore_source(model, execution, source, out, show, limits, max_pixels, as_json)
        return
    cluster = _read_cluster(ray, actors)
    assert out is not None  # `check_options` has looked
    place = Path(out)
    folder = _find_folder(place)
    saving = _read_saving(format, quality, suffix, float_range, accept_damaged, (codec, crf, preset, reuse))
    jobs = _plan(inputs, place, recursive, save_mask, saving, max_pixels)
    _check_videos(jobs, cluster, save_mask)
    report, facts = _run(model, execution, jobs, folder, cluster, save_mask, skip_existing)
    deliver({**report.to_json(), **facts}, as_json, show_report)
    if not report.ok:
        raise typer.Exit(INTERRUPTED if report.stopped == INTERRUPTED_BATCH else FAILED)


def _run(
    model: Path,
    execution: Execution,
    jobs: list[Job],
    out: Path,
    cluster: ClusterSetting | None,
    save_mask: bool,
    resume: bool,
) -> tuple[BatchReport, dict[str, Any]]:
    """Run the jobs here or on a cluster.

    Returns:
        The report, and facts about the model that was used.

    Raises:
        UserError: the model cannot be opened, or has no mask to save; the folder cannot be made.
    """
    from ...runtime.batch.jobs import run_jobs
    from ...runtime.batch.ledger import Ledger
    from ...runtime.errors import UserError

    with open_model(model, execution) as restorer:
        if save_mask and not restorer.has_mask:
            raise UserError(f"{model} is a network without a mask; leave out --save-mask")
        facts = {
            "backend": restorer.backend,
            "backend_reason": restorer.remark,
            "threshold": restorer.threshold,
            "warnings": list(restorer.warnings),
        }
        setting = None if cluster is None else _read_setting(model, execution, restorer.backend)
        make_folder(out)
        ledger = Ledger(out, list_causes(restorer, execution))
        if cluster is None or setting is None:
            with counting_frames("restoring") as (progress, frames):
                report = run_jobs(
                    restorer, jobs, resume=resume, ledger=ledger, progress=progress, frames=frames, announce=_announce
                )
            return report, facts
    from ...serving.cluster.run import run_on_cluster  # the model is closed here: this machine may be a node as well

    with counting("restoring") as progress:
        found = run_on_cluster(setting, jobs, out, cluster, resume=resume, ledger=ledger, progress=progress)
    for failure in found.failed:
        _announce(failure)
    return found, facts


def _read_limits(
    retries: int | None,
    frames: int | None,
    seconds: float | None,
    video: tuple[str | None, int | None, str | None, str],
) -> LiveOptions:
    """Check the options of a camera or stream.

    Raises:
        UserError: one is out of range.
    """
    from ...runtime.live.restoring import RETRIES, LiveOptions
    from ...runtime.video.options import VideoOptions

    return LiveOptions(RETRIES if retries is None else retries, frames, seconds, VideoOptions(*video))


def _read_saving(
    format: str | None,
    quality: int | None,
    suffix: str,
    float_range: str | None,
    accept_damaged: bool,
    video: tuple[str | None, int | None, str | None, str],
) -> Saving:
    """Check the options of the results before long work.

    Raises:
        UserError: an option is out of range, or two do not fit together.
    """
    from ...runtime.batch.saving import Saving
    from ...runtime.errors import UserError
    from ...runtime.video.options import VideoOptions

    bounds = None
    if float_range is not None:
        try:
            low, high = (float(part) for part in float_range.split(":"))
        except ValueError as error:
            raise UserError(f"--range {float_range!r} is not of the form LOW:HIGH, for example 0:255") from error
        bounds = low, high
    return Saving(format, quality, suffix, accept_damaged, bounds, VideoOptions(*video))


def _announce(failure: FailureRecord) -> None:
    """Print a failure at once.

    On a terminal it comes in the end, because it would tear the progress bar.
    """
    if not sys.stderr.isatty():
        tell(describe_failure(failure.input, failure.error))


def _plan(
    inputs: list[str], out: Path, recursive: bool, save_mask: bool, saving: Saving, max_pixels: int | None
) -> list[Job]:
    from ...runtime.batch.planning import plan_jobs
    from ...runtime.images import MAX_PIXELS
    from ...runtime.images.finding import find_inputs
    from ...runtime.video.kinds import is_video

    # Earlier results inside an input folder are not inputs; an output folder that is an input itself gets refused.
    exclude = None if any(os.path.realpath(path) == os.path.realpath(out) for path in inputs) else out
    found = find_inputs(inputs, recursive=recursive, exclude=exclude, announce=note, is_video=is_video)
    return plan_jobs(found, out, save_mask=save_mask, saving=saving, max_pixels=max_pixels or MAX_PIXELS)


def _find_folder(out: Path) -> Path:
    """Return the folder of the results.

    It can be made and written.

    Raises:
        UserError: it cannot.
    """
    from ...runtime.batch.planning import find_folder

    folder = find_folder(out)
    check_writable(folder)
    return folder


def _check_videos(jobs: list[Job], cluster: ClusterSetting | None, save_mask: bool) -> None:
    """Say at once what would fail at every video.

    Raises:
        UserError: there are videos, and a cluster, or nothing else and no PyAV.
    """
    from ...runtime.errors import UserError
    from ...runtime.video.options import load_av

    videos = [job for job in jobs if job.video is not None]
    if not videos:
        return
    if cluster is not None:
        raise UserError(f"--ray restores pictures, and {videos[0].source} is a video; restore videos without it")
    if len(videos) == len(jobs):
        load_av()
    if save_mask:
        note(f"masks of videos are not saved ({videos[0].source.name})")


def _read_cluster(address: str | None, actors: int | None) -> ClusterSetting | None:
    """Check the options of the cluster.

    Ray is looked for as well, before long work.
    """
    from ...runtime.errors import UserError

    if address is None:
        if actors is not None:
            raise UserError(f"--actors {actors} is for a cluster; give its address with --ray, or leave it out")
        return None
    from ...serving.cluster.connection import load_ray
    from ...serving.cluster.setting import ClusterSetting

    setting = ClusterSetting(address, actors)
    load_ray()
    return setting


def _read_setting(model: Path, execution: Execution, backend: str) -> ModelSetting:
    """Translate the options for actors.

    All take the backend that was found here.
    """
    from ...runtime.errors import UserError, quote
    from ...serving.cluster.run import name_model
    from ...serving.cluster.setting import ModelSetting

    if backend == "torch":
        raise UserError(
            f"{model} is a checkpoint, and a cluster runs bundles; export it first: "
            f"spair export {quote(model)} --out NAME.spair"
        )
    return ModelSetting(
        name_model(model), backend, execution.precision, execution.threads, execution.tile, execution.tile_path,
        execution.trust_code, execution.expect_digest, execution.threshold, execution.flips,
    )  # fmt: skip
