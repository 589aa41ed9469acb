"""Verb `profile`, which measures where the milliseconds go."""

from __future__ import annotations

from pathlib import Path

from ..shared.models import CHECKPOINT_SUFFIXES
from ..shared.names import find_bundle
from ..shared.options import Json, Tile
from ..shared.output import deliver, working
from ..shared.places import check_cache, check_page
from . import options
from .page import render_report
from .tables import show_profile

EXAMPLES = """\b
Examples:
  spair profile rain-tiny.spair --html profile.html
  spair profile rain-tiny.spair --image street.jpg --threads 1,2 --repeat 10 --json
  spair profile rain-tiny.spair --size 1280x720,1920x1080 --densities 0.02,0.1 --masks streak --no-layers
"""


def profile(
    model: options.Bundle,
    size: options.Sizes = None,
    densities: options.Densities = "0.02,0.1,0.2,0.5,1.0",
    masks: options.Masks = "streak,blob,shadow",
    precision: options.Precisions = "fp32",
    threads: options.ThreadCounts = None,
    repeat: options.Repeat = None,
    image: options.Image = None,
    check_size: options.CheckSize = options.CHECK_SIZE,
    layers: options.LayersToo = True,
    no_store: options.NoStore = False,
    tile: Tile = None,
    html: options.Html = None,
    as_json: Json = False,
) -> None:
    """Measure where the milliseconds go.

    Times dense and adaptive by mask and density, stages and layers, after checking that the results are equal.
    Stores what computing packed and dense costs on this machine, which every later restoration decides by.
    """
    from ...runtime.files import write_atomically
    from ...runtime.profiling import profile as work
    from ...training.data.photos import read_default_photo

    check_page(html)
    source = work.Source(*read_default_photo(), ".jpg") if image is None else work.read_source(image)
    plan = options.make_plan(
        size=options.DEFAULT_SIZE if size is None and image is None else size, check_size=check_size,
        densities=densities, masks=masks, precision=precision, threads=threads, tile=tile, repeat=repeat,
        picture=work.Size(source.pixels.shape[1], source.pixels.shape[0]),
    )  # fmt: skip
    refuse_checkpoint(model)
    bundle = work.open_checked(find_bundle(model), [setting.precision for setting in plan.settings])
    if not no_store and any(bundle.has_graph(setting.precision, "net_r_packed") for setting in plan.settings):
        check_cache()
    with working("profiling") as progress:
        report = {"model": str(model), **work.describe_run(bundle, source, plan), "repeat": repeat}
        report |= work.measure(bundle, source, plan, progress, layers=layers, store=not no_store)
    if html is not None:
        write_atomically(html, render_report(report).encode())
    deliver({**report, "html": html and str(html)}, as_json, show_profile)


def refuse_checkpoint(path: Path) -> None:
    """Refuse a checkpoint, by its suffix."""
    from ...runtime.errors import UserError

    if path.suffix in CHECKPOINT_SUFFIXES and not path.is_dir():
        raise UserError(
            f"{path} is a checkpoint, but spair profile times the graphs of a bundle; "
            f"export it first: spair export {path} --out NAME.spair"
        )
