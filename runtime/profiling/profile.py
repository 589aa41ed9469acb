"""Measurements of `spair profile`, for every setting and size."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..bundle.reader import DERIVED_FROM

if TYPE_CHECKING:
    from .. import Bundle
    from ..clock import ReportProgress
    from .cases import Case, Dial, RunSetting
    from .timing import Effort

CPU = "cpu"
"""Name of the backend of kernels, repeated from `spair.runtime.cpu`, which loads much."""

LAYER_DENSITY = 0.1
"""Density near which layers are profiled; the nearest measured density is taken."""

MASK_SEED = 20211011
"""Seed of the generated masks under which layers are profiled."""


EMPTY: Mapping[str, Any] = MappingProxyType(
    {
        **dict.fromkeys(("rows", "stages", "dial", "checks", "curves", "layers", "tuning"), ()),
        "crossover_density": None,
        "peak_memory_mb": None,
    }
)
"""Result of `measure` where nothing of the CPU was measured."""


class Size(NamedTuple):
    """Width and height in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True)
class ProfilePlan:
    """Plan of a profile's measurements."""

    sizes: tuple[Size, ...]
    check_size: Size
    """Size of the part of the picture on which methods are compared; at most as large as the largest of `sizes`."""
    densities: tuple[float, ...]
    """Densities of the masks, ascending."""
    shapes: tuple[str, ...]
    """Shapes of the masks, see `make_mask`."""
    settings: tuple[RunSetting, ...]
    """Settings, every precision with every number of threads."""
    effort: Effort
    dial: Dial | None = None
    """Thresholds of the mask that are timed besides; a clean picture is as large as the source."""


class Source(NamedTuple):
    """Picture that is restored."""

    name: str
    pixels: np.ndarray
    """[H, W, C] as `Picture` holds them."""
    suffix: str
    """Suffix of the file format in which reading and writing are timed."""


def measure(
    bundle: Bundle, source: Source, plan: ProfilePlan, progress: ReportProgress, *, layers: bool, store: bool
) -> dict[str, Any]:
    """Measure every setting in turn.

    Under generated masks, methods are compared at the plan's check size alone, before the times of its sizes are taken.
    At these sizes only the clean pixels are checked under generated masks, and methods are compared under the mask that
    the network finds.

    Args:
        bundle: the bundle.
        source: the picture.
        plan: sizes, masks and settings.
        progress: called with a phrase on what is being done.
        layers: whether to profile the layers too.
        store: whether to store the measured costs, which routing then uses.

    Returns:
        Lists with entries for each setting, which name the setting.

    Raises:
        UserError: the bundle does not take thresholds of the dial.
        GateError: methods gave different pictures, or clean pixels were changed.
    """
    from .cases import check_dial

    check_dial(bundle, plan.settings, plan.dial)  # before minutes of measuring
    lists: dict[str, list[Any]] = {key: [] for key, value in EMPTY.items() if value == ()}
    for setting in plan.settings:
        keys = {"precision": setting.precision, "threads": setting.threads, "backend": setting.backend}
        within = _Measurement(bundle, source, plan, setting, progress)
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
    """Measurements at one precision with one number of threads."""

    def __init__(
        self, bundle: Bundle, source: Source, plan: ProfilePlan, setting: RunSetting, progress: ReportProgress
    ) -> None:
        self._bundle, self._source, self._plan, self._setting = bundle, source, plan, setting
        self._progress = progress
        self._sparse = bundle.manifest.kind == "spair"

    def tune(self, store: bool) -> list[dict[str, Any]]:
        """Measure the costs of the paths on this machine.

        This comes first, because the restorers of the other measurements use stored costs.
        """
        from ..tuning import save_tuning
        from .costs import measure_tuning

        keys, entries = (self._setting.precision, self._setting.threads), []
        for backend in _list_tuned(self._bundle, self._setting):
            self._report("tuning for this machine")
            tuning = measure_tuning(self._bundle, *keys, backend=backend)
            path = save_tuning(self._bundle, *keys, tuning, backend=backend) if store else None
            costs = {**asdict(tuning), "crossover": tuning.crossover, "stored": path and str(path)}
            entries.append({"backend": backend, **costs})
        return entries

    def compare(self) -> dict[str, list[dict[str, Any]]]:
        """Compare the methods with each other."""
        from .crossover import measure_curves

        if not self._sparse:
            return {"checks": [], "curves": []}
        image = as_float(fit(self._source.pixels, self._plan.check_size))
        cases = self._cases(self._plan.check_size)
        found = measure_curves(
            self._bundle, self._setting, image, cases, self._plan.effort.forced, progress=self._report
        )
        return {"checks": [found["check"]], "curves": found["curves"]}

    def profile_layers(self) -> list[dict[str, Any]]:
        """Profile the layers at about `LAYER_DENSITY`.

        They are those of each graph, or of each stage on the kernels.
        """
        from .layers import measure_layers
        from .masks import make_mask

        self._report("layers")
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
        """Measure the rows and the stages of one size."""
        from .latency import Subject, measure_foreign, measure_masks

        pixels, dial = fit(self._source.pixels, size), self._plan.dial
        if dial is not None and dial.clean is not None:
            dial = replace(dial, clean=fit(dial.clean, size))
        subject = Subject(self._bundle, self._setting, pixels, self._source.suffix, dial)
        effort = self._plan.effort

        def progress(words: str) -> None:
            self._report(f"{size}, {words}")

        if self._sparse:
            found = measure_masks(subject, self._cases(size), effort, progress=progress)
        else:
            found = measure_foreign(subject, effort, progress=progress)
        return {"rows": found["rows"], "stages": [found["stages"]], "dial": found["dial"]}

    def _report(self, words: str) -> None:
        self._progress(f"{self._setting.precision}: {words}")

    def _cases(self, size: Size) -> list[Case]:
        from .cases import make_cases

        return make_cases(self._plan.shapes, self._plan.densities, size.height, size.width)


def _list_tuned(bundle: Bundle, setting: RunSetting) -> list[str]:
    """List the backends whose costs decide something.

    Where the kernels restore, "auto" weighs their costs against those of ONNX Runtime.
    """
    graphs = ["onnxruntime"] if bundle.has_graph(setting.precision, "net_r_packed") else []
    return ([CPU] if setting.backend == CPU else []) + graphs


def is_tuned(bundle: Bundle, setting: RunSetting) -> bool:
    """Tell whether a profile measures costs that are stored."""
    return bool(_list_tuned(bundle, setting))


def as_float(pixels: np.ndarray) -> np.ndarray:
    """Convert pixels of any type to float32 in 0..1."""
    return pixels if pixels.dtype == np.float32 else pixels / np.float32(np.iinfo(pixels.dtype).max)


def fit(pixels: np.ndarray, size: Size) -> np.ndarray:
    """Bring a picture to a size without scaling it.

    The middle of a larger picture is cut out, and a smaller picture is continued by its mirror image. Distortion keeps
    its size in pixels, on which the times depend.

    Args:
        pixels: [H, W, C].
        size: wanted width and height.

    Returns:
        [height, width, C].
    """
    cut = [slice((have - want) // 2, (have - want) // 2 + want) if have > want else slice(None)
           for have, want in zip(pixels.shape, (size.height, size.width), strict=False)]  # fmt: skip
    middle = pixels[cut[0], cut[1]]
    missing = [(0, want - have) for have, want in zip(middle.shape, (size.height, size.width), strict=False)]
    return np.ascontiguousarray(np.pad(middle, (*missing, (0, 0)), mode="symmetric"))


def open_checked(path: Path, precisions: Sequence[str], *, expect_digest: Collection[str] = ()) -> Bundle:
    """Open a bundle and check the graphs that it uses.

    Args:
        path: the folder.
        precisions: precisions to profile.
        expect_digest: see `Bundle.open`.

    Raises:
        UserError: the folder is not a bundle, or another than expected; graphs of a precision or of the whole network
            are absent, a file was changed, or the graph of the whole network is one of an older version.
    """
    from .. import Bundle

    bundle = Bundle.open(path, expect_digest=expect_digest)
    needed = ("net_l", "net_r", "model") if bundle.manifest.kind == "spair" else ("model",)
    for precision in precisions:
        stored = DERIVED_FROM.get(precision, precision)
        for part in dict.fromkeys((*needed, *bundle.manifest.graphs.get(stored, ()))):
            bundle.graph(stored, part)
        if bundle.manifest.kind == "spair":
            bundle.check_whole(stored)
    return bundle


def choose_backends(bundle: Bundle, plan: ProfilePlan, backend: str) -> ProfilePlan:
    """Return a plan whose settings say what restores.

    Args:
        bundle: the bundle.
        plan: plan without backends.
        backend: "onnxruntime", "cpu", or "auto", which takes for each setting what `Restorer.open` would take.

    Raises:
        UserError: the backend cpu cannot run the bundle in a setting, or another one a precision that has no graphs.
    """
    from ..cpu.choice import refuse_kernels
    from ..cpu.opening import check_choice

    settings = []
    for setting in plan.settings:
        chosen = backend
        if backend == "auto":
            reason = refuse_kernels(bundle, setting.precision, threads=setting.threads, path="auto")
            chosen = "onnxruntime" if reason else CPU
        if chosen == CPU:
            check_choice(bundle, setting.graphs, "auto")
        elif setting.precision in DERIVED_FROM:
            bundle.graph(setting.precision, "net_r")  # which says why there is none
        settings.append(replace(setting, backend=chosen))
    return replace(plan, settings=tuple(settings))


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
    """Describe the bundle, machine and picture of a profile."""
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
