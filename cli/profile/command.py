"""`spair profile`: where the milliseconds go, by stage, mask, density and layer; and this machine's tuning."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...runtime.machine.report import describe_machine
from ...runtime.profiling.profile import ProfilePlan, Size, Source, measure
from ...training.data.photos import PHOTOS, SEED, rain_on, read_photo
from ..shared.models import CHECKPOINT_SUFFIXES
from ..shared.names import find_bundle
from ..shared.options import Json, Tile
from ..shared.output import deliver, working
from ..shared.places import check_cache, check_page
from .options import CHECK_SIZE, DEFAULT_SIZE, make_plan
from .page import render_page
from .tables import show_profile

if TYPE_CHECKING:
    import numpy as np

    from ...runtime import Bundle

EXAMPLES = """\b
Examples:
  spair profile rain-tiny.spair --html profile.html
  spair profile rain-tiny.spair --image street.jpg --threads 1,2 --repeat 10 --json
  spair profile rain-tiny.spair --size 1280x720,1920x1080 --densities 0.02,0.1 --masks streak --no-layers
"""

PHOTO = PHOTOS[-1]
"""The default picture, in light rain: the widest one."""

Sizes = Annotated[str | None, typer.Option(help=f"WIDTHxHEIGHT, one or several; {DEFAULT_SIZE}, or that of --image.")]
Densities = Annotated[str, typer.Option(help="Shares of distorted pixels, 0 to 1.")]
Masks = Annotated[str, typer.Option(help="Shapes of the made masks: streak, blob, shadow, uniform.")]
Precisions = Annotated[str, typer.Option(help="fp32, or others the bundle has graphs for.")]
ThreadCounts = Annotated[str | None, typer.Option(help="CPU threads, one number or several; all cores when left out.")]
Repeat = Annotated[
    int | None, typer.Option(min=1, help="Timed runs of each case; up to 5, fewer of long ones, when left out.")
]
Image = Annotated[Path | None, typer.Option(help="The picture, cut or mirrored to --size; else a photo in light rain.")]
CheckSize = Annotated[
    str, typer.Option(help="Part of the picture on which the ways are compared and the cross-over is found.")
]
LayersToo = Annotated[bool, typer.Option("--layers/--no-layers", help="Profile the layers of each graph too.")]
NoStore = Annotated[bool, typer.Option("--no-store", help="Do not store this machine's tuning.")]
Html = Annotated[Path | None, typer.Option(help="Also write a self-contained page with plots.")]


def profile(
    model: Annotated[Path, typer.Argument(help="A bundle (folder NAME.spair), or the name of shipped weights.")],
    size: Sizes = None,
    densities: Densities = "0.02,0.1,0.2,0.5,1.0",
    masks: Masks = "streak,blob,shadow",
    precision: Precisions = "fp32",
    threads: ThreadCounts = None,
    repeat: Repeat = None,
    image: Image = None,
    check_size: CheckSize = CHECK_SIZE,
    layers: LayersToo = True,
    no_store: NoStore = False,
    tile: Tile = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Measure where the milliseconds go.

    Times dense and adaptive by mask and density, stages and layers, after checking that the results are equal.
    Stores what computing packed and dense costs on this machine, which every later restoration decides by.
    """
    from ...runtime.files import write_atomically

    check_page(html)
    source = load_source(image)
    plan = make_plan(
        size=DEFAULT_SIZE if size is None and image is None else size,
        check_size=check_size,
        densities=densities,
        masks=masks,
        precision=precision,
        threads=threads,
        tile=tile,
        repeat=repeat,
        picture=Size(source.pixels.shape[1], source.pixels.shape[0]),
    )
    model = find_bundle(model)
    bundle = open_bundle(model, [setting.precision for setting in plan.settings])
    if not no_store and any(bundle.has_graph(setting.precision, "net_r_packed") for setting in plan.settings):
        check_cache()
    with working("profiling") as say:
        report = describe(model, bundle, source, plan, repeat)
        report |= measure(bundle, source, plan, say, layers=layers, store=not no_store)
    if html is not None:
        write_atomically(html, render_page(report).encode())
    deliver({**report, "html": html and str(html)}, as_json, show_profile)


def open_bundle(path: Path, precisions: Sequence[str]) -> Bundle:
    """Open a bundle and check the hash of every graph that is going to be used.

    Raises:
        UserError: a checkpoint; no bundle; no graphs of a precision, or none of the whole network; a changed file.
    """
    from ...runtime import Bundle, UserError

    if path.suffix in CHECKPOINT_SUFFIXES and not path.is_dir():
        raise UserError(
            f"{path} is a checkpoint, but spair profile times the graphs of a bundle; "
            f"export it first: spair export {path} --out NAME.spair"
        )
    bundle = Bundle.open(path)
    needed = ("net_l", "net_r", "model") if bundle.manifest.kind == "spair" else ("model",)
    for precision in precisions:
        for part in dict.fromkeys((*needed, *bundle.manifest.graphs.get(precision, ()))):
            bundle.graph(precision, part)
    return bundle


def load_source(image: Path | None) -> Source:
    """The picture to restore: a file's, or one of scikit-image's photos in light rain.

    Raises:
        UserError: an unreadable or unusable picture; no scikit-image, or no scipy to make the rain with.
    """
    from ...runtime import UserError, read_image
    from ...runtime.pixels import check_image

    if image is not None:
        pixels = read_image(image).pixels
        check_image(pixels)
        return Source(image.name, pixels, choose_suffix(image.suffix.lower(), pixels))
    missing = [name for name in ("skimage", "scipy") if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"the default picture is a photo of scikit-image in made rain, but {' and '.join(missing)} cannot be "
            "imported; name a picture with --image FILE"
        )
    name = PHOTO.partition(".")[0].removesuffix("_left")
    return Source(f"{name} in light rain", rain_on(read_photo(PHOTO), "light", seed=[SEED, 0]), ".jpg")


def choose_suffix(suffix: str, pixels: np.ndarray) -> str:
    """The suffix of a format that holds such pixels: the picture's own if it does and is written, else PNG or TIFF."""
    from ...runtime.images import FORMATS

    able = [form for form in FORMATS if pixels.dtype.name in form.types and (form.alpha or pixels.shape[2] < 4)]
    return suffix if any(suffix in form.suffixes for form in able) else able[0].suffixes[0]


def describe(model: Path, bundle: Bundle, source: Source, plan: ProfilePlan, repeat: int | None) -> dict[str, Any]:
    """What is measured, and on what."""
    import numpy
    import onnxruntime

    versions = {
        "spair-rt": importlib.metadata.version("spair-rt"),
        "onnxruntime": onnxruntime.__version__,
        "numpy": numpy.__version__,
    }
    return {
        "model": str(model),
        "kind": bundle.manifest.kind,
        "task": bundle.manifest.task,
        "preset": bundle.manifest.preset,
        "machine": describe_machine(),
        "versions": versions,
        "picture": source.name,
        "size": list(plan.sizes[0]),
        "sizes": [list(size) for size in plan.sizes],
        "check_size": list(plan.check_size),
        "threads": plan.settings[0].threads,
        "tile": plan.settings[0].tile,
        "repeat": repeat,
    }
