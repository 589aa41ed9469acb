"""Options of the training data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PrivateAttr, model_validator

from .datasets import LAYOUTS

Share = Annotated[float, Field(ge=0.0, le=1.0)]


def _portable(path: Path) -> str:
    """As written; of an absolute path only the last two parts, since the rest tells about one machine."""
    return "/".join(path.parts[1:][-2:]) if path.is_absolute() else path.as_posix()


Folder = Annotated[Path, PlainSerializer(_portable, return_type=str, when_used="json")]


class Section(BaseModel):
    """A table of the file; unknown keys are errors, values do not change after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PairFolders(Section):
    """Two folders of pictures paired by file stem; a third one holds true masks where they are known."""

    input: Folder
    target: Folder
    mask: Folder | None = None


class DataSet(Section):
    """A published data set in the layout in which it is distributed; see `training.layouts`."""

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
    """Degraded photographs with true masks but without a clean picture: only Net_L learns from them."""

    input: Folder
    mask: Folder


class Data(Section):
    """Where the pictures are; relative paths start at the configuration file."""

    pairs: tuple[PairFolders, ...] = ()
    """Degraded pictures with their clean ones."""
    sets: tuple[DataSet, ...] = ()
    """The same, of published data sets."""
    photos: tuple[Folder, ...] = ()
    """Folders of clean pictures, for simulated and transplanted degradations."""
    masked: tuple[MaskedPhotos, ...] = ()
    """Photographs for Net_L alone."""
    held_out: tuple[str, ...] = ()
    """File stems of pairs and masked photographs that are kept for validation and never trained on."""
    transplant: Share = 0.0
    """Share of samples that lay the degradation of a pair over a clean photo; rain only, which adds light."""
    simulate: Share = 0.0
    """Share of samples degraded by the task's simulator."""
    from_masked: Share = 0.0
    """Share of samples cut from the masked photographs, where Net_L learns; what no share claims are crops of pairs."""
    mask_threshold: Annotated[int, Field(ge=1, le=254)] = 8
    """A pixel of a pair without a mask file is distorted where a channel differs by more than this many of 255."""
    scales: Annotated[tuple[Annotated[int, Field(ge=1, le=16)], ...], Field(min_length=1)] = (1,)
    """Training pictures are used reduced by each of these whole factors (means of boxes): larger ones show a crop more
    of the scene. Copies that become smaller than a patch are left out."""
    enlarge: tuple[Annotated[float, Field(gt=1.0, le=4.0)], ...] = ()
    """The clean photos are used enlarged by each of these factors too (bicubic): the frames of a video show less detail
    per pixel than photographs that were made small."""
    _root: Path = PrivateAttr(default=Path())

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
        if self.simulate and not (self.photos or pairs):
            raise ValueError("simulate needs clean pictures: add photos or pairs, or set simulate = 0")
        if self.enlarge and not self.photos:
            raise ValueError("enlarge is for clean photos, and there are none: add photos, or remove enlarge")
        if self.from_masked and not self.masked:
            raise ValueError("from_masked needs photographs with masks: add data.masked, or set from_masked = 0")
        return self

    def without_masked(self) -> Data:
        """The shares that Net_R learns from: that of the masked photographs goes to the others."""
        rest = 1.0 - self.from_masked
        return self.model_copy(
            update={"from_masked": 0.0, "simulate": self.simulate / rest, "transplant": self.transplant / rest}
        )

    def locate(self) -> Data:
        """The same data with absolute paths. The paths as written are what is saved: they hold on any machine."""
        root = self._root.absolute()

        def moved(sections: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(
                section.model_copy(update={k: root / v for k, v in section if isinstance(v, Path)})
                for section in sections
            )

        return self.model_copy(
            update={
                "pairs": moved(self.pairs),
                "sets": moved(self.sets),
                "masked": moved(self.masked),
                "photos": tuple(root / folder for folder in self.photos),
            }
        )
