"""Options of the training data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PrivateAttr, model_validator

from .datasets import LAYOUTS
from .roots import RUNS, Places

Share = Annotated[float, Field(ge=0.0, le=1.0)]


def _make_portable(path: Path) -> str:
    """Return a path as text that holds on every machine.

    A relative path stays as written. An absolute path keeps its last two parts.
    """
    return "/".join(path.parts[1:][-2:]) if path.is_absolute() else path.as_posix()


Folder = Annotated[Path, PlainSerializer(_make_portable, return_type=str, when_used="json")]


class Section(BaseModel):
    """Table of a configuration file.

    Unknown entries are errors, and values do not change after loading.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataRoot(Section):
    """Named folder that lies elsewhere on every machine.

    Paths of the configuration begin with it as `${NAME}`. `--data NAME=FOLDER` replaces it. A text stands for a
    table with `path` alone.
    """

    path: Folder | None = None
    """Folder; it may begin with `${VARIABLE}` of the environment. Without it, `--data` is needed."""
    package: str | None = None
    """Installed Python package at whose folder `path` begins."""
    holds: str = ""
    """Content of the folder in words, which complete the sentence "a folder that holds ..."."""

    @model_validator(mode="before")
    @classmethod
    def _read_text(cls, given: Any) -> Any:
        return {"path": given} if isinstance(given, str) else given


class PairFolders(Section):
    """Two folders of pictures paired by file stem.

    A third one holds true masks where they are known.
    """

    input: Folder
    target: Folder
    mask: Folder | None = None


class DataSet(Section):
    """Published data set in its usual layout.

    `training.data.datasets` lists the layouts.
    """

    layout: str
    root: Folder
    split: str | None = None

    @model_validator(mode="after")
    def _check_names(self) -> DataSet:
        if self.layout not in LAYOUTS:
            raise ValueError(f"unknown data set {self.layout!r}: choose one of {', '.join(LAYOUTS)}")
        if self.split is not None and self.split not in (splits := LAYOUTS[self.layout].splits):
            raise ValueError(f"{self.layout} has no split {self.split!r}: choose one of {', '.join(splits)}")
        return self


class MaskedPhotos(Section):
    """Degraded photographs with true masks but without clean pictures.

    Only Net_L learns from them.
    """

    input: Folder
    mask: Folder


class Data(Section):
    """Folders and shares of the training pictures.

    A path is relative to the configuration file, or it begins with `${NAME}`, where NAME is a data root, an
    environment variable, or `runs` for the folder of all runs.
    """

    roots: dict[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")], DataRoot] = {}
    """Data roots by name."""
    pairs: tuple[PairFolders, ...] = ()
    """Degraded pictures with their clean ones."""
    sets: tuple[DataSet, ...] = ()
    """Pairs of published data sets."""
    photos: tuple[Folder, ...] = ()
    """Clean pictures, as folders or single files, for simulated and transplanted degradations."""
    masked: tuple[MaskedPhotos, ...] = ()
    """Photographs for Net_L alone."""
    held_out: tuple[str, ...] = ()
    """File stems of pairs and masked photographs that are kept for validation and never trained on."""
    held_out_photos: tuple[str, ...] = ()
    """File stems of clean photos that are kept for validation and never trained on.

    The task's simulator degrades the middle of each several times, the same way in every run."""
    transplant: Share = 0.0
    """Share of samples that lay the degradation of a pair over a clean photo; rain only, which adds light."""
    vary: bool = False
    """Whether rain that is laid over a photo is turned upside down, slanted and made brighter or darker at random.

    Few pairs show few kinds of rain; so they show more."""
    simulate: Share = 0.0
    """Share of samples degraded by the task's simulator."""
    rain: Literal["light", "heavy", "fine"] | None = None
    """Kind of simulated rain; by default all kinds, and nearly no rain, are mixed.

    Light rain is distinct streaks, heavy rain covers most of the picture, fine rain comes with a veil."""
    from_masked: Share = 0.0
    """Share of samples cut from the masked photographs, where Net_L learns.

    The samples that belong to no share are crops of pairs."""
    mask_threshold: Annotated[int, Field(ge=1, le=254)] = 8
    """Difference, in 255ths, above which a pixel is distorted; it must occur in one channel.

    It is used for pairs without a mask file."""
    scales: Annotated[tuple[Annotated[int, Field(ge=1, le=16)], ...], Field(min_length=1)] = (1,)
    """Whole factors by which training pictures are made smaller (means of boxes).

    With larger factors a crop shows more of the scene. Copies that become smaller than a patch are left out."""
    enlarge: tuple[Annotated[float, Field(gt=1.0, le=4.0)], ...] = ()
    """Factors by which clean photos are enlarged as well (bicubic).

    The frames of a video show less detail per pixel than photographs that were made small."""
    _places: Places = PrivateAttr(default_factory=Places)

    @model_validator(mode="after")
    def _check_roots(self) -> Data:
        if RUNS in self.roots:
            raise ValueError(f"a data root cannot be called {RUNS}, which is the folder of all runs: rename it")
        return self

    @model_validator(mode="after")
    def _check_shares(self) -> Data:
        shares = {name: getattr(self, name) for name in ("transplant", "simulate", "from_masked")}
        if (total := sum(shares.values())) > 1.0 + 1e-9:  # 1e-9: shares are decimal fractions
            given = ", ".join(f"{name} = {value}" for name, value in shares.items())
            raise ValueError(f"{given} are shares of one whole, their sum must be at most 1")
        pairs, rest = bool(self.pairs or self.sets), total < 1.0 - 1e-9
        if not pairs and (rest or self.transplant):
            raise ValueError(
                "pairs and sets are empty, so simulate and from_masked have to add up to 1 and transplant to 0; "
                "add pairs or change the shares"
            )
        if self.vary and not self.transplant:
            raise ValueError("vary is for rain that is laid over photos, but transplant is 0: raise it, or remove vary")
        if self.simulate and not (self.photos or pairs):
            raise ValueError("simulate needs clean pictures: add photos or pairs, or set simulate = 0")
        if self.enlarge and not self.photos:
            raise ValueError("enlarge is for clean photos, but photos is empty: add photos, or remove enlarge")
        if self.held_out_photos and not self.photos:
            raise ValueError("held_out_photos names clean photos, but photos is empty: add photos")
        if self.from_masked and not self.masked:
            raise ValueError("from_masked needs photographs with masks: add data.masked, or set from_masked = 0")
        return self

    def without_masked(self) -> Data:
        """Return the data for Net_R, without masked photographs.

        Their share goes to the others.
        """
        rest = 1.0 - self.from_masked
        return self.model_copy(
            update={"from_masked": 0.0, "simulate": self.simulate / rest, "transplant": self.transplant / rest}
        )

    def at(self, places: Places) -> Data:
        """Return the same data with other places for its paths."""
        moved = self.model_copy()
        moved._places = places
        return moved

    def list_paths(self) -> Iterator[Path]:
        """Yield the paths of all folders and pictures, as written."""
        for section in (*self.pairs, *self.sets, *self.masked):
            yield from (value for _, value in section if isinstance(value, Path))
        yield from self.photos

    def find(self, path: Path) -> Path:
        """Return the absolute form of a configuration's path.

        Raises:
            UserError: its data root has no folder.
        """
        return self._places.find(path, self.roots)

    def locate(self) -> Data:
        """Return the same data with absolute paths.

        The paths as written are what is saved, since they hold on every machine.

        Raises:
            UserError: a data root is missing; the sentence says what to give and what it holds.
        """
        self._places.check_folders(self.list_paths(), self.roots)

        def move(sections: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(
                section.model_copy(update={k: self.find(v) for k, v in section if isinstance(v, Path)})
                for section in sections
            )

        return self.model_copy(
            update={
                "pairs": move(self.pairs),
                "sets": move(self.sets),
                "masked": move(self.masked),
                "photos": tuple(self.find(path) for path in self.photos),
            }
        )
