"""Verb `profile`, which measures where the milliseconds go."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ..shared.models import CHECKPOINT_SUFFIXES, is_checkpoint, read_expected
from ..shared.names import find_bundle
from ..shared.options import ExpectDigest, Json, Tile
from ..shared.output import deliver, working
from ..shared.places import check_cache, check_page
from . import dial, engine_options, options
from .engine_options import EngineChoice, check_choice, make_setting
from .engine_page import render_engine_report
from .engine_tables import show_engine_profile
from .page import render_report
from .power import show_power
from .tables import show_conclusions, show_profile

if TYPE_CHECKING:
    from ...runtime import Bundle
    from ...runtime.profiling.profile import ProfilePlan, Source

EXAMPLES = """\b
Examples:
  spair profile rain-tiny.spair --html profile.html
  spair profile rain-tiny.spair --image street.jpg --threads 1,2 --repeat 10 --json
  spair profile rain-tiny.spair --image street.jpg --clean dry.jpg --thresholds 0.1,0.2,0.5
  spair profile rain-tiny.spair --size 1280x720,1920x1080 --densities 0.02,0.1 --masks streak --no-layers
  spair profile rain-tiny.spair --backend tensorrt --precision fp16 --export-profile layers.json
"""


def profile(
    model: options.Bundle,
    size: options.Sizes = None,
    densities: options.Densities = "0.02,0.1,0.2,0.5,1.0",
    masks: options.Masks = "streak,blob,shadow",
    precision: options.Precisions = "fp32",
    backend: engine_options.Backend = engine_options.AUTO,
    threads: options.ThreadCounts = None,
    repeat: options.Repeat = None,
    image: options.Image = None,
    thresholds: dial.Thresholds = None,
    clean: dial.Clean = None,
    check_size: options.CheckSize = options.CHECK_SIZE,
    layers: options.LayersToo = True,
    power: options.PowerToo = True,
    no_store: options.NoStore = False,
    tile: Tile = None,
    trust_code: engine_options.TrustCode = False,
    expect_digest: ExpectDigest = None,
    spin: engine_options.Spin = False,
    nsys: engine_options.Nsys = False,
    export_times: engine_options.ExportTimes = None,
    export_profile: engine_options.ExportProfile = None,
    export_layer_info: engine_options.ExportLayerInfo = None,
    html: options.Html = None,
    as_json: Json = False,
) -> None:
    """Measure where the milliseconds go.

    Times dense and adaptive by mask and density, stages and layers, after checking that the results are equal.
    Stores what computing costs on this machine, which every later restoration decides by.
    With --backend tensorrt, times the engines of the bundle in the terms of trtexec instead.
    """
    from ...runtime.profiling import profile as work

    given = check_choice(EngineChoice(backend, trust_code, spin, nsys, export_times, export_profile, export_layer_info))
    check_page(html)
    source = read_picture(image)
    plan = options.make_plan(
        size=options.DEFAULT_SIZE if size is None and image is None else size, check_size=check_size,
        densities=densities, masks=masks, precision=precision, threads=threads, tile=tile, repeat=repeat,
        picture=work.Size(*source.pixels.shape[1::-1]), dial=dial.make_dial(thresholds, clean, image, source, html),
    )  # fmt: skip
    bundle = open_bundle(model, plan, read_expected(expect_digest))
    report = {"model": str(model), **work.describe_run(bundle, source, plan), "repeat": repeat, "backend": backend}
    report |= measure(bundle, source, plan, given, layers=layers, repeat=repeat, store=not no_store, power=power)
    deliver({**report, "html": write_page(report, html)}, as_json, show_report)


def read_picture(image: Path | None) -> Source:
    """Read the picture that is restored.

    A photograph of ours stands in where none is given.

    Raises:
        UserError: see `read_source`.
    """
    from ...runtime.profiling.profile import Source, read_source
    from ...training.data.photos import read_default_photo

    return Source(*read_default_photo(), ".jpg") if image is None else read_source(image)


def open_bundle(model: Path, plan: ProfilePlan, expect_digest: tuple[str, ...]) -> Bundle:
    """Open the bundle of a profile.

    Raises:
        UserError: the model is a checkpoint, or has no mask for the thresholds; see `open_checked`.
    """
    from ...runtime.profiling.profile import open_checked

    refuse_checkpoint(model)
    precisions = [setting.precision for setting in plan.settings]
    bundle = open_checked(find_bundle(model), precisions, expect_digest=expect_digest)
    dial.check_mask(bundle, plan)
    return bundle


def measure(
    bundle: Bundle,
    source: Source,
    plan: ProfilePlan,
    choice: EngineChoice,
    *,
    layers: bool,
    repeat: int | None,
    store: bool,
    power: bool,
) -> dict[str, Any]:
    """Measure on the backend that was chosen.

    Raises:
        UserError, GateError, EngineError, MemoryError: see the functions for each backend.
    """
    from ...runtime.profiling import profile as work

    if choice.wanted:
        return measure_on_engines(bundle, source, plan, choice, layers=layers, repeat=repeat, power=power)
    chosen = work.choose_backends(bundle, plan, choice.backend)
    return measure_on_cpu(bundle, source, chosen, layers=layers, store=store, power=power)


def write_page(report: dict[str, Any], html: Path | None) -> str | None:
    """Write the page of a report where one is wanted.

    Returns:
        Its path.

    Raises:
        UserError: the file cannot be written.
    """
    from ...runtime.files import write_atomically

    if html is not None:
        render = render_report if report["engine"] is None else render_engine_report
        write_atomically(html, render(report).encode())
    return None if html is None else str(html)


def measure_on_cpu(
    bundle: Bundle, source: Source, plan: ProfilePlan, *, layers: bool, store: bool, power: bool
) -> dict[str, Any]:
    """Measure on the processor.

    Raises:
        UserError, GateError: see `measure`.
    """
    from ...runtime.profiling import profile as work
    from ...runtime.profiling.energy.cpu import measure_energy

    if store and any(work.is_tuned(bundle, setting) for setting in plan.settings):
        check_cache()
    with working("profiling") as progress:
        found = work.measure(bundle, source, plan, progress, layers=layers, store=store)
        energy = measure_energy(bundle, source, plan, progress) if power else None
    return {**found, "engine": None, "files": {}, "backend": plan.settings[0].backend, "power": energy}


def measure_on_engines(
    bundle: Bundle,
    source: Source,
    plan: ProfilePlan,
    choice: EngineChoice,
    *,
    layers: bool,
    repeat: int | None,
    power: bool,
) -> dict[str, Any]:
    """Measure the engines of the bundle.

    Raises:
        UserError, GateError, EngineError, MemoryError: see `measure_engines`.
    """
    from ...runtime.profiling import profile as work
    from ...runtime.profiling.energy.engines import measure_engine_energy
    from ...runtime.profiling.engines.profile import check_plan, check_source, measure_engines

    setting = make_setting(choice, layers=layers, repeat=repeat)
    check_plan(plan, setting.exports)
    checked = check_source(source)
    with working("profiling") as progress:
        engine = measure_engines(bundle, checked, plan, setting, progress)
        energy = measure_engine_energy(bundle, checked, plan, setting, progress) if power else None
    files = {
        "times": choice.export_times,
        "profile": choice.export_profile,
        "layer_info": choice.export_layer_info,
    }
    named = {name: file and str(file) for name, file in files.items()}
    return {**work.EMPTY, "engine": engine, "files": named, "power": energy}


def show_report(report: dict[str, Any], console: Console) -> None:
    """Print a report for people."""
    if report["engine"] is None:
        show_profile(report, console)
        dial.show_dial(report, console)
        show_conclusions(report, console)
    else:
        show_engine_profile(report, console)
    show_power(report["power"], console)


def refuse_checkpoint(path: Path) -> None:
    """Refuse a checkpoint, by its suffix or its content.

    Any other file is left to the reader of bundles.
    """
    from ...runtime.errors import UserError, quote

    if is_checkpoint(path) and (path.suffix.lower() in CHECKPOINT_SUFFIXES or _holds_weights(path)):
        raise UserError(
            f"{path} is a checkpoint, but spair profile times the graphs of a bundle; "
            f"export it first: spair export {quote(path)} --out NAME.spair"
        )


def _holds_weights(path: Path) -> bool:
    """Tell whether a file begins as weights.

    It is False without torch, where nobody can export them.
    """
    try:
        from ...network.files.content import begins_as_weights
    except ImportError:
        return False
    return begins_as_weights(path)
