"""Names of sources and sinks, and how they are shown.

Streams are opened by the protocols that are named here and by no other, whatever an address or a server asks for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlsplit

from ...errors import UserError

_DEVICES = ("camera", "csi")
_PIPE = "pipe"
PROTOCOLS: Mapping[str, str] = MappingProxyType(
    {
        "rtsp": "rtp,udp,tcp",
        "rtsps": "rtp,tcp,tls",
        "rtmp": "rtmp,tcp",
        "rtmps": "rtmps,tcp,tls",
        "http": "http,tcp",
        "https": "https,tcp,tls",
        "udp": "udp",
        "tcp": "tcp",
    }
)
"""Scheme of a source -> FFmpeg's protocols that it may use."""
SINK_FORMATS: Mapping[str, str] = MappingProxyType(
    {"rtsp": "rtsp", "rtmp": "flv", "rtmps": "flv", "udp": "mpegts", "tcp": "mpegts"}
)
"""Scheme of a sink -> FFmpeg's name of what is sent."""
STDOUT = "-"
"""Name of the sink that writes raw frames to stdout."""

_DEVICE = re.compile(rf"({'|'.join(_DEVICES)}):(?P<number>\d+)(?P<options>(?:,.*)?)")
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://")
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
_EXAMPLES = "camera:0,size=1280x720,rate=30, csi:0 or pipe:size=640x480,rate=25"


class SourceName(NamedTuple):
    """Name of a source, taken apart."""

    kind: str
    """"camera", "csi", "pipe", or the scheme of an address."""
    address: str
    """Full address of a stream, which may hold a password; empty for the others."""
    shown: str
    """Name without what is secret."""
    number: int = 0
    """Number of the camera."""
    size: tuple[int, int] | None = None
    """Width and height in pixels that are asked for."""
    rate: int | None = None
    """Frames a second that are asked for."""


def parse_source(text: str) -> SourceName | None:
    """Read the name of a source.

    None for what is none, such as the path of a file.

    Raises:
        UserError: it is one, and cannot be used.
    """
    scheme = find_scheme(text)
    if scheme is not None:
        if scheme not in PROTOCOLS:
            raise UserError(
                f"streams of {scheme}:// are not read ({hide_secrets(text)}); expected a path or one of "
                f"{', '.join(PROTOCOLS)}"
            )
        _split(text)
        return SourceName(scheme, text, hide_secrets(text))
    if text.startswith(f"{_PIPE}:"):
        size, rate = _parse_options(text, text.removeprefix(f"{_PIPE}:"))
        if size is None:
            raise UserError(f"{text} does not say how large its frames are; write them as in {_EXAMPLES}")
        return SourceName(_PIPE, "", text, 0, size, rate)
    match = _DEVICE.fullmatch(text)
    if match is None:
        return None
    return SourceName(match[1], "", text, int(match["number"]), *_parse_options(text, match["options"].lstrip(",")))


def find_scheme(text: str) -> str | None:
    """Return the scheme of an address in lower case.

    None for what is no address.
    """
    match = _SCHEME.match(text)
    return match["scheme"].lower() if match else None


def is_sink(text: str) -> bool:
    """Tell whether a text names a stream or stdout."""
    return text == STDOUT or find_scheme(text) is not None


def check_sink(text: str) -> None:
    """Refuse an address that frames are not sent to.

    Raises:
        UserError: its scheme is another one, or its port is none.
    """
    scheme = find_scheme(text)
    if scheme is not None and scheme not in SINK_FORMATS:
        raise UserError(
            f"frames are not sent to {scheme}:// ({hide_secrets(text)}); expected a file, - or one of "
            f"{', '.join(SINK_FORMATS)}"
        )
    if scheme is not None:
        _split(text)


def split_host(address: str) -> tuple[str, int]:
    """Return host and port of an address.

    Raises:
        UserError: it has none.
    """
    host, port = _split(address)
    if not host or port is None:
        raise UserError(f"{hide_secrets(address)} names no host with a port; write it as in udp://192.168.1.7:5000")
    return host, port


def _split(address: str) -> tuple[str, int | None]:
    try:
        parts = urlsplit(address)
        return parts.hostname or "", parts.port
    except ValueError as error:
        raise UserError(
            f"{hide_secrets(address)} is no address ({error}); write it as in rtsp://host:554/path"
        ) from error


def hide_secrets(address: str) -> str:
    """Write an address without what lets others in.

    That is the user with the password, what follows a question mark, and the last part of an RTMP address, which is
    the key of a channel.
    """
    scheme = find_scheme(address)
    if scheme is None:
        return address
    start = address.index("//") + 2
    head, rest = address[:start], address[start:]
    _, mark, place = rest.rpartition("@")  # the last one: a password may hold one itself
    place, question, _ = place.partition("?")
    if scheme.startswith("rtmp") and place.count("/") > 1:
        place = place.rpartition("/")[0] + "/***"
    return head + ("***@" if mark else "") + place + ("?***" if question else "")


def _parse_options(text: str, options: str) -> tuple[tuple[int, int] | None, int | None]:
    """Read the size and the rate behind a source's name."""
    size, rate = None, None
    for part in filter(None, options.split(",")):
        name, _, value = part.partition("=")
        found = _SIZE.fullmatch(value)
        if name == "size" and found and int(found[1]) and int(found[2]):
            size = int(found[1]), int(found[2])
        elif name == "rate" and value.isdecimal() and 0 < int(value) <= 1000:
            rate = int(value)
        else:
            raise UserError(f"{text} has an unknown option {part!r}; write it as in {_EXAMPLES}")
    return size, rate
