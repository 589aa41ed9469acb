"""Published figures, as data.

Reports show them beside measured figures; they serve no other purpose.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SOURCE = (
    "figures as printed in the SPAIR talk (Purohit, Suin, Rajagopalan, Boddeti: Spatially-Adaptive Image Restoration "
    "using Distortion-Guided Networks, ICCV 2021)"
)
"""Origin of the figures, for reports."""

PSNR_SSIM = ("PSNR", "SSIM")
"""Measures of most tables."""
SHADOW_RMSE = ("RMSE shadow", "RMSE non-shadow", "RMSE all")
"""Measures of the shadow tables."""

Row = tuple[float | None, ...]
"""One value for each measure of a set; None where no value was printed."""


@dataclass(frozen=True)
class PublishedSet:
    """Figures of one data set."""

    task: str
    name: str
    """Name of the data set in the tables."""
    rows: Mapping[str, Row]
    """Method -> its figures, in the order of the tables."""
    measures: tuple[str, ...] = PSNR_SSIM
    files: tuple[tuple[str, str], ...] = ()
    """(layout, split) of the measured files; the layout is a name of `datasets.LAYOUTS`."""
    pictures: int | None = None
    """Number of measured pictures; None if unknown."""
    note: str = ""
    """Other reasons why these figures differ from a measurement here; a sentence."""

    def __post_init__(self) -> None:
        wrong = [method for method, row in self.rows.items() if len(row) != len(self.measures)]
        if wrong:
            raise ValueError(f"{self.name} has {len(self.measures)} measures, but not so {', '.join(wrong)}")


_RAIN_METHODS = ("DerainNet", "SEMI", "DIDMDN", "UMRL", "RESCAN", "PreNet", "MSPFN", "SPAIR")
_RAIN_NOTE = "The methods were trained on Rain13K, a mix of data sets."
_BLUR_METHODS = ("DeblurGAN-v2", "SRN", "DMPHN", "Purohit 2020", "SPAIR")

# fmt: off
PUBLISHED = (
    PublishedSet("rain", "Test100", dict(zip(_RAIN_METHODS, (
        (22.77, 0.810), (22.35, 0.788), (22.56, 0.818), (24.41, 0.829),
        (25.00, 0.835), (24.81, 0.851), (27.50, 0.876), (30.35, 0.909),
    ), strict=True)), files=(("rain800", "test"), ("rain13k", "Test100")), note=_RAIN_NOTE),
    PublishedSet("rain", "Rain100H", dict(zip(_RAIN_METHODS, (
        (14.92, 0.592), (16.56, 0.486), (17.35, 0.524), (26.01, 0.832),
        (26.36, 0.786), (26.77, 0.858), (28.66, 0.860), (30.95, 0.892),
    ), strict=True)), files=(("rain100h", "test"), ("rain13k", "Rain100H")), pictures=100, note=_RAIN_NOTE),
    PublishedSet("rain", "Rain100L", dict(zip(_RAIN_METHODS, (
        (27.03, 0.884), (25.03, 0.842), (25.23, 0.741), (29.18, 0.923),
        (29.80, 0.881), (32.44, 0.950), (32.40, 0.933), (36.93, 0.969),
    ), strict=True)), files=(("rain100l", "test"), ("rain13k", "Rain100L")), pictures=100, note=_RAIN_NOTE),
    PublishedSet("rain", "Test2800", dict(zip(_RAIN_METHODS, (
        (24.31, 0.861), (24.43, 0.782), (28.13, 0.867), (29.97, 0.905),
        (31.29, 0.904), (31.75, 0.916), (32.82, 0.930), (33.34, 0.936),
    ), strict=True)), files=(("rain13k", "Test2800"),), pictures=2800, note=_RAIN_NOTE),
    PublishedSet("rain", "Test1200", dict(zip(_RAIN_METHODS, (
        (23.38, 0.835), (26.05, 0.822), (29.65, 0.901), (30.55, 0.910),
        (30.51, 0.882), (31.36, 0.911), (32.39, 0.916), (33.04, 0.922),
    ), strict=True)), files=(("rain1200", "test"), ("rain13k", "Test1200")), pictures=1200, note=_RAIN_NOTE),
    PublishedSet("rain", "average of the five", dict(zip(_RAIN_METHODS, (
        (22.48, 0.796), (22.88, 0.744), (24.58, 0.770), (28.02, 0.880),
        (28.59, 0.857), (29.42, 0.897), (30.75, 0.903), (32.91, 0.926),
    ), strict=True))),
    PublishedSet("blur", "GoPro", dict(zip(_BLUR_METHODS, (
        (29.55, 0.934), (30.26, 0.934), (31.20, 0.940), (31.85, 0.948), (32.06, 0.953),
    ), strict=True)), files=(("gopro", "test"),), pictures=1111),
    PublishedSet("blur", "HIDE", dict(zip(_BLUR_METHODS, (
        (26.61, 0.875), (28.36, 0.915), (29.09, 0.924), (29.98, 0.930), (30.29, 0.931),
    ), strict=True)), files=(("hide", "test"),), pictures=2025, note="The methods were trained on GoPro."),
    PublishedSet("blur", "RealBlur-J", dict(zip(_BLUR_METHODS, (
        (28.70, 0.866), (28.56, 0.867), (28.42, 0.860), (None, None), (28.81, 0.875),
    ), strict=True)), files=(("realblur-j", "test"),), pictures=980,
        note="The methods were trained on GoPro; RealBlur's own code registers each output with its target first."),
    PublishedSet("blur", "RealBlur-J, trained on it", dict(zip(_BLUR_METHODS, (
        (29.69,), (31.38,), (None,), (None,), (31.82,),
    ), strict=True)), measures=("PSNR",), files=(("realblur-j", "test"),), pictures=980,
        note="RealBlur's own code registers each output with its target first."),
    PublishedSet("raindrop", "raindrops", {
        "Eigen": (28.59, 0.6726), "Pix2pix": (30.59, 0.8075), "AGAN": (31.51, 0.9213),
        "DuRN": (31.24, 0.9259), "Quan": (31.44, 0.9263), "SPAIR": (32.73, 0.9410),
    }, files=(("deraindrop", "test_a"),), pictures=58,
        note="The data set is DeRaindrop by Qian et al. (2018), its test split A."),
    PublishedSet("shadow", "ISTD", {
        "Input": (32.12, 7.19, 10.97), "Wang": (10.33, 6.93, 7.47), "Hu": (9.48, 6.14, 6.67),
        "Zhang": (8.99, 6.33, 6.95), "Cun": (8.14, 6.04, 6.37), "SPAIR": (8.05, 5.47, 5.88),
    }, measures=SHADOW_RMSE, files=(("istd", "test"),), pictures=540),
)
"""Published figures of all tasks."""
# fmt: on


def find_published(task: str, layout: str | None = None, split: str | None = None) -> tuple[list[PublishedSet], bool]:
    """Find the published sets to show beside a measurement.

    These are all sets of the task, unless layout and split name the files of one set. Without a split the layout must
    leave one choice.

    Returns:
        The sets, and whether layout and split name their files.
    """
    sets = [one for one in PUBLISHED if one.task == task]
    if layout is not None and split is None:
        splits = {known for one in sets for name, known in one.files if name == layout}
        split = splits.pop() if len(splits) == 1 else None
    named = [one for one in sets if (layout, split) in one.files]
    return named or sets, bool(named)


def caution(sets: Sequence[PublishedSet], named: bool, count: int) -> str:
    """Write a warning for readers who compare figures.

    It is a sentence about the comparison of `count` measured pictures with `sets`, or "" if there is nothing to warn
    about.
    """
    if not named:
        names = ", ".join(one.name for one in sets if one.files)
        return (
            f"The published figures were measured on other files ({names}): they show the level of the field, not how "
            "this model compares. --dataset names the data set of a measurement."
        )
    expected = sets[0].pictures
    if expected is not None and count != expected:
        return f"The published figures are means over {expected} pictures of {sets[0].name}, these over {count}."
    return ""


def describe_published(task: str, layout: str | None, split: str | None, count: int) -> dict[str, Any]:
    """Describe the published figures, as a part of a report.

    Returns:
        source, named (whether layout and split name the files of the sets), caution, and the sets.
    """
    sets, named = find_published(task, layout, split)
    return {
        "source": SOURCE,
        "named": named,
        "caution": caution(sets, named, count),
        "sets": [
            {
                "name": one.name,
                "measures": list(one.measures),
                "pictures": one.pictures,
                "note": one.note,
                "rows": {method: list(row) for method, row in one.rows.items()},
            }
            for one in sets
        ],
    }
