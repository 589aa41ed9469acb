"""Verb `serve`, which answers requests over HTTP and gRPC."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from .shared.models import read_expected, read_flips
from .shared.names import name_models
from .shared.options import (
    LIMITS,
    MODEL,
    Backend,
    ExpectDigest,
    Flips,
    Json,
    MaxQueue,
    Models,
    Precision,
    Threads,
    Tile,
    TrustCode,
)
from .shared.output import print_json, tell

EXAMPLES = """\b
Examples:
  spair serve rain
  spair serve rain-tiny.spair night=my-night.spair --port 9000 --grpc-port 9001
  spair serve rain --live yard=rtsp://192.168.1.7:554/stream
  spair serve rain --host 0.0.0.0 --token-file token.txt --cert server.pem --key server.key
"""

DOORS = "Doors"
"""Panel of the help."""
TOKEN = "SPAIR_TOKEN"


def serve(
    models: Models,
    host: Annotated[
        str,
        typer.Option(
            metavar="HOST",
            help="Address to listen on; 127.0.0.1 is reached from this machine only.",
            rich_help_panel=DOORS,
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(min=0, metavar="PORT", help="Port of HTTP; 0 for a free one.", rich_help_panel=DOORS),
    ] = 8000,
    grpc_port: Annotated[
        int,
        typer.Option(min=0, metavar="PORT", help="Port of gRPC; 0 for a free one.", rich_help_panel=DOORS),
    ] = 8001,
    grpc: Annotated[
        bool, typer.Option("--grpc/--no-grpc", help="Listen for gRPC as well.", rich_help_panel=DOORS)
    ] = True,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=f"File whose first line is the token that clients must send; ${TOKEN} if not.",
            rich_help_panel=DOORS,
        ),
    ] = None,
    cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificate for TLS on both doors, PEM.", rich_help_panel=DOORS)
    ] = None,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Private key of the certificate, PEM.", rich_help_panel=DOORS)
    ] = None,
    live: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=SOURCE",
            help="Camera or stream that the page shows restored, as yard=rtsp://HOST/PATH or yard=camera:0; "
            "NAME:MODEL=SOURCE for another model than the first. May be given several times.",
            rich_help_panel=DOORS,
        ),
    ] = None,
    grace: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="Time to go on after SIGTERM, not ready, before doors close.",
            rich_help_panel=DOORS,
        ),
    ] = 0.0,
    max_pixels: Annotated[
        int, typer.Option(min=1, metavar="PIXELS", help="Most pixels of a request.", rich_help_panel=LIMITS)
    ] = 33_177_600,
    max_body: Annotated[
        int, typer.Option(min=1, metavar="MIB", help="Largest body of a request, decompressed.", rich_help_panel=LIMITS)
    ] = 256,
    max_queue: MaxQueue = 32,
    max_viewers: Annotated[
        int, typer.Option(min=1, metavar="COUNT", help="Most viewers of a --live.", rich_help_panel=LIMITS)
    ] = 16,
    timeout: Annotated[
        float, typer.Option(min=0.001, metavar="SECONDS", help="Longest time of a request.", rich_help_panel=LIMITS)
    ] = 60.0,
    precision: Precision = "fp32",
    backend: Backend = "auto",
    threads: Threads = None,
    tile: Tile = None,
    flips: Flips = 1,
    batch: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="PICTURES",
            help="Most waiting pictures of equal size that are computed in one go.",
            rich_help_panel=MODEL,
        ),
    ] = 1,
    trust_code: TrustCode = False,
    expect_digest: ExpectDigest = None,
    as_json: Json = False,
) -> None:
    """Serve models over HTTP and gRPC.

    The protocol is that of Triton Inference Server, so its clients work unchanged. SIGTERM or Ctrl-C ends the server
    after the answers to all that has come; a second one ends it at once.
    """
    from ..serving.addresses import TlsFiles
    from ..serving.options import Limits, ModelOptions
    from ..serving.tokens import read_token

    limits = Limits(
        pixels=max_pixels, body_bytes=max_body * 1024**2, queue=max_queue, viewers=max_viewers, seconds=timeout
    )
    token = read_token(token_file, os.environ.get(TOKEN))
    tls = None if cert is None or key is None else TlsFiles(cert, key)
    _check_tls(cert, key)
    named, expected, checked = name_models(models), read_expected(expect_digest), read_flips(flips)
    from ..serving.live.views import read_views
    from ..serving.server import Doors
    from ..serving.server import serve as run

    code = run(
        named,
        ModelOptions(backend, precision, threads, tile, trust_code, batch, expected, checked),
        Doors(host, port, grpc_port if grpc else None, tls, grace),
        limits=limits,
        token=token,
        say=tell,
        views=read_views(live or (), named),
        tell_ready=lambda report: _tell_ready(report, as_json),
    )
    raise typer.Exit(code)


def _check_tls(cert: Path | None, key: Path | None) -> None:
    from ..runtime import UserError

    if (cert is None) != (key is None):
        raise UserError("--cert and --key go together; give both or neither")


def _tell_ready(report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(report)
    else:
        tell(f"ready: {', '.join(report['models'])}")
