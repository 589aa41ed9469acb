"""Options of the verb `restore`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from ..shared.options import OUTPUT
from ..shared.places import read_place

CLUSTER = "Cluster"
"""Panel of the help."""
VIDEO = "Video"
"""Panel of the help."""

LIVE = "Cameras and streams"
"""Panel of the help."""

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT...",
        help="Pictures, videos, folders or patterns; or one camera or stream: camera:0, csi:0, rtsp://HOST/PATH.",
    ),
]
Out = Annotated[
    str | None,
    typer.Option(
        parser=read_place,
        metavar="FOLDER",
        help="Folder for the results; made when missing. For one video also a file: .mp4, .mov, .mkv or .webm. "
        "For a camera or stream a file, an address such as rtsp://HOST/PATH, or - for raw frames on stdout. "
        "Needed without --show.",
        rich_help_panel=OUTPUT,
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        metavar="FORMAT",
        help="png, jpeg, webp or tiff for all results; when left out, the format of each input.",
        rich_help_panel=OUTPUT,
    ),
]
Quality = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="PERCENT",
        help="Quality of JPEG (95 when left out) and of WebP, up to 100.",
        rich_help_panel=OUTPUT,
    ),
]
Suffix = Annotated[
    str,
    typer.Option(metavar="TEXT", help="Text behind the stem of each name, as _restored.", rich_help_panel=OUTPUT),
]
Range = Annotated[
    str | None,
    typer.Option("--range", metavar="LOW:HIGH", help="Range of float pictures, for example 0:255; 0:1 when left out."),
]
AcceptDamaged = Annotated[
    bool, typer.Option("--accept-damaged", help="Restore damaged pictures as far as they can be decoded.")
]
SaveMask = Annotated[bool, typer.Option("--save-mask", help="Also write NAME.mask.png.", rich_help_panel=OUTPUT)]
Recursive = Annotated[bool, typer.Option("--recursive", help="Look into subfolders of input folders.")]
SkipExisting = Annotated[
    bool,
    typer.Option(
        "--skip-existing",
        help="Leave pictures alone whose results are there already, made from the same picture, model and options.",
        rich_help_panel=OUTPUT,
    ),
]

MaxPixels = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="COUNT",
        help="Largest picture that is read, in pixels; 500 million when left out.",
    ),
]

Ray = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Restore on the nodes of a Ray cluster: auto, local or HOST:PORT.",
        rich_help_panel=CLUSTER,
    ),
]
Actors = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="COUNT",
        help="Models open at a time on the cluster; when left out, as many as its cores hold with --threads.",
        rich_help_panel=CLUSTER,
    ),
]
VideoCodec = Annotated[
    str | None,
    typer.Option(
        "--codec",
        metavar="CODEC",
        help="h264, hevc, vp9, av1 or ffv1; when left out, h264, hevc for more than 8 bits, or vp9 in .webm.",
        rich_help_panel=VIDEO,
    ),
]
Crf = Annotated[
    int | None,
    typer.Option(
        "--crf",
        min=0,
        metavar="NUMBER",
        help="Quality of videos, lower is better: 17 for h264, 18 for hevc, 20 for vp9 and av1 when left out.",
        rich_help_panel=VIDEO,
    ),
]
Reuse = Annotated[
    Literal["off", "safe", "fast"],
    typer.Option(
        help="Take distorted pixels of videos and cameras from earlier frames where the scene stands still.",
        rich_help_panel=VIDEO,
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        metavar="PRESET",
        help="Effort of the encoder, ultrafast to veryslow; medium when left out.",
        rich_help_panel=VIDEO,
    ),
]
Show = Annotated[
    bool,
    typer.Option(
        "--show", help="Show restored frames in a window as well; --out may be left out.", rich_help_panel=LIVE
    ),
]
Retries = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="COUNT",
        help="Attempts to open a lost camera or stream before it is given up; 10 when left out.",
        rich_help_panel=LIVE,
    ),
]
Frames = Annotated[
    int | None,
    typer.Option(min=1, metavar="COUNT", help="Restored frames after which to stop.", rich_help_panel=LIVE),
]
Seconds = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="Time after which to stop.", rich_help_panel=LIVE),
]
