"""App of the HTTP door."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..access_log import AccessLog
from ..live.feeds import Feeds
from ..options import Limits
from ..origins import Origins
from ..page.files import SECURITY_HEADERS, list_page_files
from ..plane.plane import DataPlane
from ..tokens import Tokens
from .door import HttpDoor
from .endpoints import Endpoints

HEALTH = ("/v2/health/live", "/v2/health/ready")
"""Paths that need no token, because load balancers ask them."""


def make_app(
    plane: DataPlane,
    *,
    tokens: Tokens,
    limits: Limits,
    log: AccessLog,
    origins: Origins | None = None,
    feeds: Feeds | None = None,
) -> Starlette:
    """Make the app of the protocol, metrics and page.

    Whoever runs it sets `app.state.is_leaving` before the end; from then on answers ask clients to close their
    connections.

    Args:
        plane: models that answer.
        tokens: check of tokens; asked for every path but the health checks and the files of the page.
        limits: bounds on requests.
        log: log of requests.
        origins: check of web pages, where no token is asked for; None for that of 127.0.0.1.
        feeds: cameras and streams that are shown; None for none.
    """
    files = list_page_files()
    door = Middleware(HttpDoor, tokens=tokens, origins=origins or Origins(), log=log, free={*HEALTH, *files})
    ends = Endpoints(plane, limits, feeds or Feeds((), plane, limits, log))
    routes = [*_list_routes(ends), *(_serve_file(path, *file) for path, file in files.items())]
    app = Starlette(routes=routes, middleware=[door], exception_handlers={HTTPException: _refuse_route})
    app.router.redirect_slashes = False
    app.state.is_leaving = False
    return app


def _list_routes(ends: Endpoints) -> list[Route]:
    routes = [
        Route("/v2", ends.describe_server),
        Route("/v2/health/live", ends.tell_live),
        Route("/v2/health/ready", ends.tell_ready),
        Route("/v2/models/stats", ends.count_all),
        Route("/v2/repository/index", ends.list_models, methods=["POST"]),
        Route("/metrics", ends.render_metrics),
        Route("/live", ends.list_live),
        Route("/live/{view}", ends.show_live),
        Route("/openapi.json", _describe_routes),
    ]
    for model in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        routes += [
            Route(model, ends.describe_model),
            Route(f"{model}/ready", ends.tell_model_ready),
            Route(f"{model}/config", ends.configure_model),
            Route(f"{model}/stats", ends.count_model),
            Route(f"{model}/infer", ends.infer, methods=["POST"]),
        ]
    return routes


def read_description() -> bytes:
    """Read the OpenAPI document of the routes."""
    return importlib.resources.files(__package__).joinpath("openapi.json").read_bytes()


def _serve_file(path: str, kind: str, content: bytes) -> Route:
    async def serve(request: Request) -> Response:
        return Response(content, headers={**SECURITY_HEADERS, "Content-Type": kind})

    return Route(path, serve, include_in_schema=False)


async def _describe_routes(request: Request) -> Response:
    return Response(read_description(), media_type="application/json")


async def _refuse_route(request: Request, error: Exception) -> Response:
    """Refuse an unknown route or method in a sentence."""
    status = getattr(error, "status_code", 500)
    headers: Mapping[str, str] | None = getattr(error, "headers", None)
    place = f"{request.method} {request.url.path}"
    sentence = f"there is no {place} here; GET /openapi.json lists what there is"
    if status == 405:
        sentence = f"{place} is not allowed here, expected {(headers or {}).get('Allow', 'another method')}"
    return JSONResponse({"error": sentence}, status, headers)
