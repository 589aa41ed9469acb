"""Names of sources and sinks are told from files, by few protocols, and shown without secrets."""

import pytest

from spair.runtime.errors import UserError
from spair.runtime.live.sources.addresses import (
    PROTOCOLS,
    check_sink,
    hide_secrets,
    is_sink,
    parse_source,
    split_host,
)


@pytest.mark.parametrize("text", ["clip.mp4", "camera", "camera:x", "./camera:0", "a/rtsp:b", "pipes", "csi", "-"])
def test_paths_are_no_sources(text):
    assert parse_source(text) is None


def test_cameras_have_a_number_a_size_and_a_rate():
    assert parse_source("camera:0")[3:] == (0, None, None)
    assert parse_source("camera:12,size=641x479,rate=30")[3:] == (12, (641, 479), 30)
    assert parse_source("csi:1,rate=60")[:1] + parse_source("csi:1,rate=60")[3:] == ("csi", 1, None, 60)
    assert parse_source("pipe:size=3x1") == ("pipe", "", "pipe:size=3x1", 0, (3, 1), None)


@pytest.mark.parametrize("scheme", sorted(PROTOCOLS))
def test_addresses_of_each_scheme_are_sources(scheme):
    found = parse_source(f"{scheme.upper()}://host:1234/a")
    assert (found.kind, found.address) == (scheme, f"{scheme.upper()}://host:1234/a")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("file:///etc/passwd", "streams of file:// are not read"),
        ("concat://a", "streams of concat:// are not read .*expected a path or one of .*rtsp"),
        ("camera:0,size=0x5", "camera:0,size=0x5 has an unknown option 'size=0x5'"),
        ("camera:0,size=640", "unknown option 'size=640'"),
        ("csi:0,rate=0", "unknown option 'rate=0'"),
        ("csi:0,fps=3", "unknown option 'fps=3'; write it as in camera:0,size=1280x720"),
        ("pipe:", "does not say how large its frames are"),
        ("udp://host:99999", "no address"),
    ],
)
def test_what_cannot_be_used_is_refused(text, match):
    with pytest.raises(UserError, match=match):
        parse_source(text)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://host:554/a/b", "rtsp://host:554/a/b"),
        ("rtsp://me:secret@host:554/a", "rtsp://***@host:554/a"),
        ("rtsp://me:se/cr@et@host/a", "rtsp://***@host/a"),
        ("https://host/live?token=secret", "https://host/live?***"),
        ("http://host/a?secret=x@y", "http://***@y"),
        ("rtmp://host/live/secret", "rtmp://host/live/***"),
        ("RTMPS://me:secret@host/live/secret?secret", "RTMPS://***@host/live/***?***"),
        ("rtmp://host/live", "rtmp://host/live"),
        ("camera:0", "camera:0"),
    ],
)
def test_secrets_are_hidden(address, shown):
    assert hide_secrets(address) == shown and "secret" not in shown


def test_a_refusal_hides_them_too():
    for call, address in ((parse_source, "ftp://me:secret@host/a"), (check_sink, "http://me:secret@host/a")):
        with pytest.raises(UserError) as error:
            call(address)
        assert "secret" not in str(error.value)
    with pytest.raises(UserError) as error:
        parse_source("rtsp://me:secret@host:port/a")
    assert "secret" not in str(error.value)


def test_sinks_are_streams_and_stdout():
    assert is_sink("-") and is_sink("udp://host:1") and is_sink("file://x") and not is_sink("a/b.mp4")
    for wrong in ("file:///tmp/x", "http://host/a"):
        with pytest.raises(UserError, match="frames are not sent to"):
            check_sink(wrong)
    check_sink("a/b.mp4")
    assert split_host("udp://[::1]:5000") == ("::1", 5000)
    with pytest.raises(UserError, match="names no host with a port"):
        split_host("udp://host")
