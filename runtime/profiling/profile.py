"""The measurements of `spair profile`: every setting and size in turn, after the ways to restore were compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from .. import Bundle
    from .cases import Case, RunSetting
    from .timing import Effort, Say

LAYER_DENSITY = 0.1
"""Layers are profiled at the measured density next to this."""


MASK_SEED = 20211011
"""Seed of the made masks under which layers are profiled."""


class Size(NamedTuple):
    """Width and height in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True)
class ProfilePlan:
    """What to measure."""

    sizes: tuple[Size, ...]
    check_size: Size
    """Of the part of the picture on which the ways are compared; at most as large as the largest size."""
    densities: tuple[float, ...]
    """Ascending."""
    shapes: tuple[str, ...]
    settings: tuple[RunSetting, ...]
    """Every precision with every number of threads."""
    effort: Effort


class Source(NamedTuple):
    """The picture that is restored."""

    name: str
    pixels: np.ndarray
    """[H, W, C] as `Picture` holds them."""
    suffix: str
    """Of the file format that reading and writing is timed in."""


def measure(
    bundle: Bundle, source: Source, plan: ProfilePlan, say: Say, *, layers: bool, store: bool
) -> dict[str, Any]:
    """Every setting in turn; lists have an entry for each, told apart by its keys.

    Under made masks the ways are compared at the plan's check size alone, before anything else is timed; at its sizes
    only clean pixels are looked at then, and the ways are compared under the mask that the network finds.

    Raises:
        GateError: the ways to restore gave different pictures.
    """
    lists: dict[str, list[Any]] = {key: [] for key in ("rows", "stages", "checks", "curves", "layers", "tuning")}
    for setting in plan.settings:
        keys = {"precision": setting.precision, "threads": setting.threads}
        within = _Measurement(bundle, source, plan, setting, say)
        entries = {
            "tuning": within.tune(store),
            **within.compare(),
            "layers": within.profile_layers() if layers else [],
        }
        for size in plan.sizes:
            for key, found in within.time(size).items():
                lists[key] += [{**keys, "size": list(size), **entry} for entry in found]
        for key, found in entries.items():
            lists[key] += [{**keys, **entry} for entry in found]
    crossovers = [curve["crossover_density"] for curve in lists["curves"]]
    peaks = [stages["peak_memory_mb"] for stages in lists["stages"] if stages["peak_memory_mb"] is not None]
    return {**lists, "crossover_density": next(iter(crossovers), None), "peak_memory_mb": max(peaks, default=None)}


class _Measurement:
    """What is measured at one precision with one number of threads."""

    def __init__(self, bundle: Bundle, source: Source, plan: ProfilePlan, setting: RunSetting, say: Say) -> None:
        self._bundle, self._source, self._plan, self._setting, self._say = bundle, source, plan, setting, say
        self._sparse = bundle.manifest.kind == "spair"

    def tune(self, store: bool) -> list[dict[str, Any]]:
        """Measure and store from which density on dense is faster here, first: the restorers below use it."""
        if not self._bundle.has_graph(self._setting.precision, "net_r_packed"):
            return []
        from ..tuning import save_tuning
        from .costs import measure_tuning

        self._tell("tuning for this machine")
        tuning = measure_tuning(self._bundle, self._setting.precision, self._setting.threads)
        path = save_tuning(self._bundle, self._setting.precision, self._setting.threads, tuning) if store else None
        return [{**asdict(tuning), "crossover": tuning.crossover, "stored": path and str(path)}]

    def compare(self) -> dict[str, list[dict[str, Any]]]:
        """The gate, and the ways against each other."""
        from .crossover import measure_curves

        if not self._sparse:
            return {"checks": [], "curves": []}
        image = as_float(fit(self._source.pixels, self._plan.check_size))
        cases = self._cases(self._plan.check_size)
        found = measure_curves(self._bundle, self._setting, image, cases, self._plan.effort.forced, say=self._tell)
        return {"checks": [found["check"]], "curves": found["curves"]}

    def profile_layers(self) -> list[dict[str, Any]]:
        """The layers of every graph, under a mask of about LAYER_DENSITY."""
        from .layers import measure_layers
        from .masks import make_mask

        self._tell("layers")
        pixels, (width, height) = fit(self._source.pixels, self._plan.check_size), self._plan.check_size
        if not self._sparse:
            return measure_layers(self._bundle, self._setting, pixels, None)
        wanted = min(
            (one for one in self._plan.densities if one), key=lambda one: abs(one - LAYER_DENSITY), default=1.0
        )
        density = max(wanted, 1 / (width * height))  # a mask without a pixel would run no layer
        mask = make_mask(self._plan.shapes[0], height, width, density, MASK_SEED)
        names = {"mask": self._plan.shapes[0], "density": density}
        return [{**names, **entry} for entry in measure_layers(self._bundle, self._setting, pixels, mask)]

    def time(self, size: Size) -> dict[str, list[dict[str, Any]]]:
        """Rows and stages of one size."""
        from .latency import Subject, measure_foreign, measure_masks

        subject = Subject(self._bundle, self._setting, fit(self._source.pixels, size), self._source.suffix)
        effort = self._plan.effort

        def say(words: str) -> None:
            self._tell(f"{size}, {words}")

        if self._sparse:
            found = measure_masks(subject, self._cases(size), effort, say=say)
        else:
            found = measure_foreign(subject, effort, say=say)
        return {"rows": found["rows"], "stages": [found["stages"]]}

    def _tell(self, words: str) -> None:
        self._say(f"{self._setting.precision}: {words}")

    def _cases(self, size: Size) -> list[Case]:
        from .cases import make_cases

        return make_cases(self._plan.shapes, self._plan.densities, size.height, size.width)


def as_float(pixels: np.ndarray) -> np.ndarray:
    """Pixels of any type as float32 in 0..1."""
    return pixels if pixels.dtype == np.float32 else pixels / np.float32(np.iinfo(pixels.dtype).max)


def fit(pixels: np.ndarray, size: Size) -> np.ndarray:
    """[H, W, C] -> [height, width, C]: the middle of what is larger; what is smaller goes on as its mirror image.

    Nothing is scaled: distortion keeps its size in pixels, which is what the times depend on.
    """
    cut = [slice((have - want) // 2, (have - want) // 2 + want) if have > want else slice(None)
           for have, want in zip(pixels.shape, (size.height, size.width), strict=False)]  # fmt: skip
    middle = pixels[cut[0], cut[1]]
    missing = [(0, want - have) for have, want in zip(middle.shape, (size.height, size.width), strict=False)]
    return np.ascontiguousarray(np.pad(middle, (*missing, (0, 0)), mode="symmetric"))


def open_checked(path: Path, precisions: Sequence[str]) -> Bundle:
    """Open a bundle and check the hash of every graph that will be used.

    Raises:
        UserError: the folder is not a bundle, graphs of a precision or of the whole network are absent, or a file was
            changed.
    """
    from .. import Bundle

    bundle = Bundle.open(path)
    needed = ("net_l", "net_r", "model") if bundle.manifest.kind == "spair" else ("model",)
    for precision in precisions:
        for part in dict.fromkeys((*needed, *bundle.manifest.graphs.get(precision, ()))):
            bundle.graph(precision, part)
    return bundle


def read_source(path: Path) -> Source:
    """Read the picture to restore from a file.

    Raises:
        UserError: the picture cannot be read or has values that a restorer refuses.
    """
    from .. import read_image
    from ..pixels import check_image

    pixels = read_image(path).pixels
    check_image(pixels)
    return Source(path.name, pixels, choose_suffix(path.suffix.lower(), pixels))


def choose_suffix(suffix: str, pixels: np.ndarray) -> str:
    """Choose the suffix of a format that holds such pixels.

    It is the picture's own suffix if its format does and can be written, else that of PNG or TIFF.
    """
    from ..images import FORMATS

    able = [form for form in FORMATS if pixels.dtype.name in form.types and (form.alpha or pixels.shape[2] < 4)]
    return suffix if any(suffix in form.suffixes for form in able) else able[0].suffixes[0]


def describe_run(bundle: Bundle, source: Source, plan: ProfilePlan) -> dict[str, Any]:
    """Describe the bundle, the machine, the picture and the setting of a profile."""
    from ..machine.report import describe_machine, read_versions

    return {
        "kind": bundle.manifest.kind,
        "task": bundle.manifest.task,
        "preset": bundle.manifest.preset,
        "machine": describe_machine(),
        "versions": read_versions(("spair-rt", "onnxruntime", "numpy")),
        "picture": source.name,
        "size": list(plan.sizes[0]),
        "sizes": [list(size) for size in plan.sizes],
        "check_size": list(plan.check_size),
        "threads": plan.settings[0].threads,
        "tile": plan.settings[0].tile,
    }
