"""Recognition of video files by their content.

The kind also decides how FFmpeg reads a file. It never guesses, so that no file can pass for a list of other files.
"""

from __future__ import annotations

from pathlib import Path

HEAD = 1024
"""Bytes at the beginning of a file by which its kind is known."""

_BEGINNINGS = (
    (b"FLV\x01", "flv"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (b"\0\0\x01\xba", "mpeg"),
    (b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02", "mxf"),
    (b"YUV4MPEG2 ", "yuv4mpegpipe"),
)
_EBML = b"\x1a\x45\xdf\xa3"
_AUDIO_BRANDS = {b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B "}
_MOVIE_BRANDS = (
    b"isom", b"iso2", b"iso3", b"iso4", b"iso5", b"iso6", b"iso7", b"iso8", b"iso9", b"mp41", b"mp42", b"mp71",
    b"avc1", b"qt  ", b"M4V ", b"M4VH", b"M4VP", b"f4v ", b"F4V ", b"dash", b"cmfc", b"msdh", b"MSNV", b"XAVC",
    b"NDSC", b"mmp4", b"kddi", b"hvc1", b"av01",
)  # fmt: skip
_MOVIE_FAMILIES = (b"3g", b"iso")
_ATOMS = {b"moov", b"mdat", b"wide", b"pnot"}
"""Beginnings of QuickTime files from before they had a brand."""
_AUDIO_SUFFIXES = {".mka", ".weba", ".mks", ".ogg", ".oga", ".opus", ".wma", ".m4a", ".m4b", ".spx"}
"""Suffixes of files that have a video's beginning and hold sound or subtitles alone."""
_TS_PACKET = 188


def find_video(path: Path) -> str | None:
    """Name FFmpeg's reader of a video file.

    None for what is no video, and for a file that cannot be opened.
    """
    if path.suffix.lower() in _AUDIO_SUFFIXES:
        return None
    try:
        with path.open("rb") as file:
            return recognise(file.read(HEAD))
    except OSError:
        return None


def is_video(path: Path) -> bool:
    """Tell whether a file is a video by its content."""
    return find_video(path) is not None


def recognise(head: bytes) -> str | None:
    """Name FFmpeg's reader of a video by its beginning.

    Args:
        head: its first `HEAD` bytes.
    """
    for beginning, name in _BEGINNINGS:
        if head.startswith(beginning):
            return name
    if head.startswith(_EBML) and (b"matroska" in head[:64] or b"webm" in head[:64]):
        return "matroska"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    if head[:4] == b"OggS" and any(mark in head for mark in (b"\x80theora", b"BBCD", b"OVP80")):
        return "ogg"
    if _is_movie(head):
        return "mov"
    return "mpegts" if _is_transport(head) else None


def _is_movie(head: bytes) -> bool:
    if head[4:8] in _ATOMS:
        return True
    brand = head[8:12]
    return (
        head[4:8] == b"ftyp"
        and brand not in _AUDIO_BRANDS
        and (brand in _MOVIE_BRANDS or brand.startswith(_MOVIE_FAMILIES))
    )


def _is_transport(head: bytes) -> bool:
    """Tell an MPEG transport stream by its packets' first bytes."""
    for start in (0, 4):  # 4 bytes of time before each packet, as cameras write
        step = _TS_PACKET + start
        marks = head[start::step]
        if len(marks) >= 4 and set(marks) == {0x47}:
            return True
    return False
