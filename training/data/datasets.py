"""Data sets of image restoration in their original folders.

Facts about folders and names come from these sources (repository: file, or issue):

- rain100l, rain100h: csdwren/PReNet: DerainDataset.py, statistic/, test_Rain100H.sh. `rainy/rain-001.png` belongs to
  `norain-001.png`; training pictures lie together. The 546 rainy pictures with a background of the test set are left
  out, so some clean pictures have no partner. hongwang01/RCDNet: README (`train/small/rain`, equal names). The archives
  of JORDER (CVPR 2017) call rainy pictures `norain-1x2.png`. open-mmlab/mmagic: tools/dataset_converters/deraining
  (`input`, `target`).
- rain800: hezhangsprinter/ID-CGAN: README, IDCGAN/data/donkey_folder.lua; XiaLiPKU/RESCAN: config/dataset.py (the clean
  half is on the left).
- rain1200: hezhangsprinter/DID-MDN: README, datasets/pix2pix_class.py, test.py; YC-Liang/DRT issue 5 (the rainy half is
  on the left).
- rain1400: csdwren/PReNet: DerainDataset.py, datasets/readme.txt (each clean picture has 14 rainy ones; 900 clean
  pictures lie in Rain12600 for training and 100 in Rain1400 for testing).
- rain13k: swz30/MPRNet: Deraining/Datasets/README.md, issues 23 and 74 (Test100 has 98 pairs, training 13,711).
- deraindrop: rui1996/DeRaindrop: README, predict.py (861 training pairs; test_a is a part of test_b).
- istd: DeepInsight-PCALab/ST-CGAN; GuoLanqing/ShadowFormer: README (A shadow, B mask, C shadow-free).
- istd+: cvlab-stonybrook/SID: README (shadow-free pictures adjusted in colour). The adjusted folders are
  `train_C_fixed_ours` or `train_C_fixed_official`, and `test_C_fixed_official`.
- srd: vinthony/ghost-free-shadow-removal: README (masks are not part of SRD; `train_A`, `train_B`, `train_C`). Clean
  pictures end in `_no_shadow` in training and `_free` in testing. CalcuLuUus/RASM issue 9 (the masks of 15 test
  pictures in circulation belong to other pictures).
- gopro, gopro-gamma: SeungjunNah/DeepDeblur-PyTorch: src/data/gopro_large.py; DeepDeblur_release issue 60 (the input of
  the paper is `blur_gamma`); megvii-model/HINet issue 28 (published comparisons use `blur`).
- hide: joanshen0508/HA_deblur: README; its archive has `train`, `test/test-close-ups`, `test/test-long-shot`, `GT`.
- realblur-j, realblur-r: rimchang/RealBlur: README, link_file.sh; rimchang/RSBlur: datalist.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...runtime.clock import CountProgress
from ...runtime.errors import UserError
from .folders import Files, FolderForm, ListForm
from .pairs import Pair, check_pairs, listed

Form = FolderForm | ListForm


@dataclass(frozen=True)
class Layout:
    """Name, task and forms of a data set.

    Each split can lie in several forms; the usual one comes first.
    """

    name: str
    task: str
    """Task: rain, raindrop, shadow, blur, or any."""
    summary: str
    """Description for lists of data sets, one line."""
    splits: Mapping[str, tuple[Form, ...]]
    """Forms of each split, below a root that holds the whole data set."""
    bare: tuple[Form, ...] = ()
    """Forms below a root that holds only one split."""


def find_pairs(
    layout: str, root: Path, split: str | None = None, *, check: bool = True, progress: CountProgress | None = None
) -> list[Pair]:
    """Find the pairs of a data set.

    They are ordered by scene and number. Names are unique and have no slash.

    Args:
        layout: a name of `LAYOUTS`.
        root: folder of the data set, or of one split.
        split: a name of the layout's `splits`; None for a root that is or holds exactly one.
        check: whether to run `check_pairs`, which decodes every file.
        progress: callback of `check_pairs`, which counts files.

    Raises:
        UserError: the layout or split is unknown; the root holds neither (the message names the expected paths and the
            present ones); the root holds several splits and none is chosen; pictures do not pair; or they fail
            `check_pairs`.
    """
    if layout not in LAYOUTS:
        raise UserError(f"unknown data set {layout!r}: choose one of {', '.join(LAYOUTS)}")
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"the folder {root} for {layout} is not a folder: give the one that holds the data set")
    pairs = _choose(LAYOUTS[layout], root, split).find(root)
    if check:
        check_pairs(pairs, progress)
    return pairs


def _choose(layout: Layout, root: Path, split: str | None) -> Form:
    """Choose the form of a split below the root."""
    if split is not None and split not in layout.splits:
        raise UserError(f"{layout.name} has no split {split!r}: choose one of {', '.join(layout.splits)}")
    if split is not None and (chosen := _present(layout.splits[split], root)) is not None:
        return chosen
    bare = _present(layout.bare, root)
    if split is None and bare is not None:
        return bare
    present = {name: form for name, forms in layout.splits.items() if (form := _present(forms, root)) is not None}
    if split is None and len(present) > 1:
        raise UserError(f"{root} holds several splits of {layout.name}: choose one of {', '.join(present)}")
    if split is None and present:
        return next(iter(present.values()))
    raise UserError(_absent(layout, root, split, bare is not None, list(present)))


def _present(forms: Iterable[Form], root: Path) -> Form | None:
    """Return the first form whose pictures are below the root."""
    return next((form for form in forms if not form.missing(root)), None)


def _absent(layout: Layout, root: Path, split: str | None, bare: bool, present: Sequence[str]) -> str:
    """Write the message for a root without the wanted split.

    It names the expected paths, the present ones, and a remedy.
    """
    usual = [forms[0] for forms in (layout.bare, *layout.splits.values()) if forms]
    forms = usual if split is None else layout.splits[split]
    expected = listed([" + ".join(form.examples) for form in forms], ", or ")
    entries = sorted(path.name for path in root.iterdir() if not path.name.startswith("."))
    there = f"has {listed(entries)}" if entries else "is empty"
    partly = min((lack for form in forms if len(lack := form.missing(root)) < len(form.examples)), key=len, default=())
    lacking = f", and nothing like {' or '.join(partly)}" if partly else ""
    advice = "give the folder that holds the data set"
    if bare:
        advice = "it is the folder of one split by itself, so leave the split out"
    elif present:
        advice = f"choose {' or '.join(present)}"
    part = layout.name if split is None else f"the split {split} of {layout.name}"
    return f"{root} does not hold {part}: expected {expected}, but it {there}{lacking}; {advice}"


def _below(prefixes: Iterable[str], *forms: FolderForm) -> tuple[FolderForm, ...]:
    return tuple(form.below(prefix) for prefix in prefixes for form in forms)


_REPACKED = FolderForm(Files("input/1.png"), Files("target/1.png"))

_RAIN100 = r"(?:(?:no)?rain-)?(\d+)(?:x2)?"
_RAIN100_FORMS = (
    FolderForm(Files("rainy/rain-001.png", _RAIN100), Files("norain-001.png", r"norain-(\d+)", spare=True)),
    FolderForm(Files("input/1.png", _RAIN100), Files("target/1.png", _RAIN100)),
    FolderForm(Files("rain/X2/norain-001x2.png", _RAIN100), Files("norain/norain-001.png", _RAIN100)),
    FolderForm(Files("rain/norain-1x2.png", _RAIN100), Files("norain/norain-1.png", _RAIN100)),
    FolderForm(Files("rain-1.png", r"rain-(\d+)", spare=True), Files("norain-1.png", r"norain-(\d+)", spare=True)),
)
_RAIN800_APART = FolderForm(Files("rain/rain-001.png", _RAIN100), Files("norain/norain-001.png", _RAIN100))
_RAIN1400_FORMS = tuple(
    FolderForm(Files(f"{rainy}/901_1.jpg", r"(\d+)_\d+"), Files(f"{clean}/901.jpg", r"(\d+)"), many=True)
    for rainy, clean in (("rainy_image", "ground_truth"), ("rainy image", "ground truth"))
)
_DERAINDROP = FolderForm(Files("data/0_rain.png", r"(.+?)(?:_rain)?"), Files("gt/0_clean.png", r"(.+?)(?:_clean)?"))
_FOLDERS = (FolderForm(_REPACKED.input, _REPACKED.target, Files("mask/1.png")), _REPACKED)
"""Forms of plain folders; the one with masks comes first, because a folder of masks that is there must be complete."""


def _rain100(letter: str, word: str) -> Layout:
    name = f"Rain100{letter}"
    archive = f"rain_data_test_{word}/"
    train = (f"train/RainTrain{letter}/", f"RainTrain{letter}/", f"rain_data_train_{word}/", "train/small/", "train/")
    test = (f"test/{name}/", f"{name}/", archive, f"{archive}rain_{word}_test/", "test/small/", "test/")
    return Layout(
        name.lower(),
        "rain",
        f"{name}: streaks, {word.lower()} (Yang et al., CVPR 2017)",
        {"train": _below(train, *_RAIN100_FORMS), "test": _below(test, *_RAIN100_FORMS)},
        _RAIN100_FORMS,
    )


def _side_by_side(side: Literal["input-left", "input-right"], *examples: str) -> tuple[FolderForm, ...]:
    return tuple(FolderForm(Files(example), side=side) for example in examples)


def _rain1200_train(density: str) -> tuple[FolderForm, ...]:
    example = f"{density}/train2018new/1.jpg"
    return _side_by_side("input-left", f"DID-MDN-training/{example}", example)


def _shadows(split: str, *clean: str) -> tuple[FolderForm, ...]:
    """Build the forms of ISTD, whose pictures come in triples.

    The adjusted clean pictures may lie beside the folder of the split.
    """
    folders = [(f"{split}/", f"{split}/"), (f"{split}/", ""), ("", "")]
    return tuple(
        FolderForm(
            Files(f"{place}{split}_A/1-1.png"), Files(f"{beside}{name}/1-1.png"), Files(f"{place}{split}_B/1-1.png")
        )
        for place, beside in folders
        for name in clean
    )


def _srd(split: str, example: str) -> tuple[FolderForm, ...]:
    clean = r"(.+?)(?:_no_shadow|_free)?"
    forms = []
    for shadow, free, masks in (
        ("shadow", "shadow_free", "mask"),
        (f"{split}_A", f"{split}_C", f"{split}_B"),
        ("train_A", "train_C", "train_B"),  # one distribution keeps these names in its test folder
    ):
        pair = FolderForm(Files(f"{shadow}/IMG_1.jpg"), Files(f"{free}/{example}.jpg", clean))
        forms += [FolderForm(pair.input, pair.target, Files(f"{masks}/IMG_1.jpg", clean)), pair]
    return _below((f"{split}/", f"{split}_data/"), *forms)


def _gopro(name: str, summary: str, blur: str, *repacked: FolderForm) -> Layout:
    scenes = FolderForm(Files(f"*/{blur}/000001.png"), Files("*/sharp/000001.png"))
    places = {split: (f"{split}/", f"GOPRO_Large/{split}/") for split in ("train", "test")}
    splits = {split: _below(prefixes, scenes, *repacked) for split, prefixes in places.items()}
    return Layout(name, "blur", f"{summary} (Nah et al., CVPR 2017)", splits, (scenes,))


def _hide(split: str, *examples: str) -> tuple[FolderForm, ...]:
    sharp = Files("GT/1.png", spare=True)  # the folder also holds the sharp pictures of the other split
    forms = _below(("", "HIDE_dataset/"), *(FolderForm(Files(example), sharp) for example in examples))
    return (*forms, _REPACKED.below(f"{split}/"))


def _realblur(letter: str) -> Layout:
    name = f"RealBlur_{letter}"
    return Layout(
        name.lower().replace("_", "-"),
        "blur",
        f"RealBlur-{letter}: photographed pairs (Rim et al., ECCV 2020)",
        {
            split: (
                ListForm(f"{name}_{split}_list.txt"),
                *_below((f"{split}/", f"{name}/{split}/", f"{split}/{name}/"), _REPACKED),
            )
            for split in ("train", "test")
        },
    )


_ALL = (
    Layout(
        "folders",
        "any",
        "input, target and perhaps mask, paired by stem",
        {split: _below((f"{split}/",), *_FOLDERS) for split in ("train", "val", "test")},
        _FOLDERS,
    ),
    _rain100("L", "Light"),
    _rain100("H", "Heavy"),
    Layout(
        "rain800",
        "rain",
        "Rain800: streaks, clean and rainy side by side (Zhang et al., ID-CGAN, 2017)",
        {
            "train": (
                *_side_by_side("input-right", "training/1.jpg", "rain/training/1.jpg"),
                _RAIN800_APART.below("train/"),
                *_side_by_side("input-right", "train/1.jpg"),
            ),
            "test": (
                *_side_by_side("input-right", "test_syn/1.jpg", "rain/test_syn/1.jpg"),
                _RAIN800_APART.below("test/"),
                *_side_by_side("input-right", "test/1.jpg"),
            ),
        },
    ),
    Layout(
        "rain1200",
        "rain",
        "Rain1200: three densities, rainy and clean side by side (Zhang and Patel, DID-MDN, CVPR 2018)",
        {
            "train": _rain1200_train("*"),
            "train-heavy": _rain1200_train("Rain_Heavy"),
            "train-medium": _rain1200_train("Rain_Medium"),
            "train-light": _rain1200_train("Rain_Light"),
            "test": _side_by_side("input-left", "DID-MDN-test/1.jpg"),
        },
    ),
    Layout(
        "rain1400",
        "rain",
        "Rain1400: 14 rainy pictures of each clean one (Fu et al., DDN, CVPR 2017)",
        {
            "train": _below(("training/", "train/", "train/Rain12600/", "Rain12600/"), *_RAIN1400_FORMS),
            "test": _below(("testing/", "test/", "test/Rain1400/", "Rain1400/"), *_RAIN1400_FORMS),
        },
        _RAIN1400_FORMS,
    ),
    Layout(
        "rain13k",
        "rain",
        "Rain13K: training pairs of several sets and five test sets (Zamir et al., MPRNet, CVPR 2021)",
        {
            "train": _below(("train/Rain13K/", "train/"), _REPACKED),
            **{
                name: _below((f"test/{name}/", f"{name}/"), _REPACKED)
                for name in ("Test100", "Rain100H", "Rain100L", "Test1200", "Test2800")
            },
        },
        (_REPACKED,),
    ),
    Layout(
        "deraindrop",
        "raindrop",
        "DeRaindrop: drops on glass (Qian et al., CVPR 2018); test_a is the well aligned part of test_b",
        {split: _below((f"{split}/",), _DERAINDROP) for split in ("train", "test_a", "test_b")},
        (_DERAINDROP,),
    ),
    Layout(
        "istd",
        "shadow",
        "ISTD: shadow, mask and shadow-free (Wang et al., CVPR 2018)",
        {split: _shadows(split, f"{split}_C") for split in ("train", "test")},
    ),
    Layout(
        "istd+",
        "shadow",
        "ISTD+: ISTD with shadow-free pictures adjusted in colour (Le and Samaras, ICCV 2019)",
        {
            split: _shadows(split, f"{split}_C_fixed_official", f"{split}_C_fixed_ours", f"{split}_C_fixed")
            for split in ("train", "test")
        },
    ),
    Layout(
        "srd",
        "shadow",
        "SRD: shadow and shadow-free (Qu et al., CVPR 2017), with masks where a folder of them was added",
        {"train": _srd("train", "IMG_1_no_shadow"), "test": _srd("test", "IMG_1_free")},
    ),
    _gopro("gopro", "GoPro: averaged frames, `blur`", "blur", _REPACKED),
    _gopro("gopro-gamma", "GoPro: frames averaged in linear light, `blur_gamma`", "blur_gamma"),
    Layout(
        "hide",
        "blur",
        "HIDE: people in motion (Shen et al., ICCV 2019)",
        {"train": _hide("train", "train/1.png"), "test": _hide("test", "test/*/1.png", "test/1.png")},
    ),
    _realblur("J"),
    _realblur("R"),
)

LAYOUTS: Mapping[str, Layout] = {layout.name: layout for layout in _ALL}
"""Data sets by name."""
