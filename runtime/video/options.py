"""Options of video results, and what each codec takes."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from ..errors import UserError
from ..scenes.still import STILLNESS

PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
"""Names of the trades between time and size, from the fastest on."""
DEFAULT_PRESET = "medium"
REUSES = ("off", *STILLNESS)
"""Names of how much is taken from earlier frames; "off" restores each frame by itself."""


class VideoCodec(NamedTuple):
    """Codec of results."""

    name: str
    """Name that `--codec` takes."""
    encoder: str
    """Name of FFmpeg's encoder."""
    crf: int | None
    """Quality where none is given, which eyes take for the original; None for a codec without loss."""
    largest_crf: int
    preset_option: str = ""
    """Name of the encoder's option for its effort; empty where it has none."""
    presets: tuple[str, ...] = ()
    """The option's value for each of `PRESETS`."""
    needs_even_sides: bool = False
    smallest_side: int = 1
    """Pixels of the smallest width and height. x265 writes outside of its memory at some widths below 64."""
    extra: tuple[tuple[str, str], ...] = ()
    """Further options of the encoder."""

    def list_options(self, crf: int | None, preset: str | None) -> dict[str, str]:
        """List the encoder's options.

        Args:
            crf: quality; None for the default.
            preset: one of `PRESETS`; None for the default.
        """
        options = dict(self.extra)
        quality = self.crf if crf is None else crf
        if quality is not None:
            options["crf"] = str(quality)
        if self.preset_option:
            options[self.preset_option] = self.presets[PRESETS.index(preset or DEFAULT_PRESET)]
        return options


CODECS = (
    VideoCodec("h264", "libx264", 17, 51, "preset", PRESETS, True),
    VideoCodec("hevc", "libx265", 18, 51, "preset", PRESETS, True, 64, (("x265-params", "log-level=error"),)),
    VideoCodec(
        "vp9", "libvpx-vp9", 20, 63, "cpu-used", ("8", "7", "6", "5", "4", "2", "1", "1", "0"),
        extra=(("deadline", "good"), ("row-mt", "1")),
    ),
    VideoCodec("av1", "libsvtav1", 20, 63, "preset", ("12", "11", "10", "9", "8", "7", "5", "4", "3")),
    VideoCodec("ffv1", "ffv1", None, 0, extra=(("level", "3"), ("slicecrc", "1"))),
)  # fmt: skip
"""Codecs of results. FFV1 is without loss."""


class Container(NamedTuple):
    """Kind of file that results are written to."""

    format: str
    """FFmpeg's name of it."""
    codecs: tuple[str, ...]
    """Names of the codecs that it holds."""


_MP4 = Container("mp4", ("h264", "hevc", "vp9", "av1"))
CONTAINERS = MappingProxyType(
    {
        ".mp4": _MP4,
        ".m4v": _MP4,
        ".mov": Container("mov", ("h264", "hevc")),
        ".mkv": Container("matroska", ("h264", "hevc", "vp9", "av1", "ffv1")),
        ".webm": Container("webm", ("vp9", "av1")),
    }
)
"""Containers of results by suffix in lower case."""
ANY_CONTAINER = ".mkv"
"""Suffix of results whose inputs have a container that is not written."""


@dataclass(frozen=True)
class VideoOptions:
    """Codec and quality of results.

    Raises:
        UserError: no such codec, preset or reuse, or a quality that the codec does not have.
    """

    codec: str | None = None
    """Name of one of `CODECS`; None for the one that suits the container and the depth of the input."""
    crf: int | None = None
    """Quality, lower is better; None for the codec's default."""
    preset: str | None = None
    """One of `PRESETS`; None for `DEFAULT_PRESET`."""
    reuse: str = "off"
    """One of `REUSES`."""

    def __post_init__(self) -> None:
        names = [codec.name for codec in CODECS]
        if self.codec is not None and self.codec not in names:
            raise UserError(f"--codec {self.codec} is not written, expected one of {', '.join(names)}")
        if self.preset is not None and self.preset not in PRESETS:
            raise UserError(f"--preset {self.preset} is unknown, expected one of {', '.join(PRESETS)}")
        if self.reuse not in REUSES:
            raise UserError(f"--reuse {self.reuse} is unknown, expected one of {', '.join(REUSES)}")
        if self.codec is not None:
            self._check_codec(find_codec(self.codec))

    def choose(self, suffix: str, depth: int, side: int) -> VideoCodec:
        """Choose the codec of a result.

        It is H.264, or HEVC for more than 8 bits, which few players take as H.264. In WebM it is VP9 or AV1.

        Args:
            suffix: one of `CONTAINERS`.
            depth: bits of a sample of the input.
            side: its width or height, whichever is smaller, in pixels.

        Raises:
            UserError: the container does not hold the codec, or the codec does not have the quality or the size.
        """
        container = CONTAINERS[suffix]
        shallow, deep = ("vp9", "av1") if container.format == "webm" else ("h264", "hevc")
        is_deep = depth > 8 and side >= find_codec(deep).smallest_side
        codec = find_codec(self.codec or (deep if is_deep else shallow))
        if codec.name not in container.codecs:
            able = ", ".join(one for one, kind in CONTAINERS.items() if codec.name in kind.codecs)
            raise UserError(
                f"a {suffix} file holds no {codec.name}; name the result {able}, or give --codec "
                f"{' or '.join(container.codecs)}"
            )
        if side < codec.smallest_side:
            raise UserError(
                f"{codec.name} takes sides of {codec.smallest_side} pixels or more, and one has {side}; give another "
                "--codec"
            )
        self._check_codec(codec)
        return codec

    def to_json(self) -> dict[str, Any]:
        """Return the options as JSON values."""
        return {"codec": self.codec, "crf": self.crf, "preset": self.preset, "reuse": self.reuse}

    def _check_codec(self, codec: VideoCodec) -> None:
        if codec.crf is None and (self.crf is not None or self.preset is not None):
            raise UserError(f"{codec.name} is without loss, and has no quality or preset; leave out --crf and --preset")
        if self.crf is not None and not 0 <= self.crf <= codec.largest_crf:
            raise UserError(f"--crf {self.crf} is out of range for {codec.name}, expected 0 to {codec.largest_crf}")


def find_codec(name: str) -> VideoCodec:
    """Find a codec by its name."""
    return next(codec for codec in CODECS if codec.name == name)


def load_av() -> Any:
    """Import PyAV.

    Raises:
        UserError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise UserError(
            f"videos need the Python package av, which cannot be imported ({error}); "
            "install it: pip install 'spair-rt[video]'"
        ) from error
    return av
