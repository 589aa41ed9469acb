"""Files of the page with their content types."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from types import MappingProxyType

INDEX = "index.html"
FOLDER = "/page/"
"""Path of all files but the page itself, which refers to them relatively, as `page/app.js`."""
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""Content types by suffix; a browser runs no module of another type."""
SECURITY_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": (
            "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
)
"""Headers for each of the files: nothing is loaded from or sent to another place, and no other page frames it."""


def list_page_files() -> Mapping[str, tuple[str, bytes]]:
    """Return the files of the page by path.

    The page itself is `/`, its parts are `/page/app.js` and so on; it refers to them and to the routes `v2/...`
    relatively, so all may lie below a prefix. They are to be served without a token, which the page asks for, and
    with `SECURITY_HEADERS`.

    Returns:
        Path -> content type and content.
    """
    files: dict[str, tuple[str, bytes]] = {}
    for entry in importlib.resources.files("spair.serving.page").iterdir():
        _, dot, ending = entry.name.rpartition(".")
        content_type = CONTENT_TYPES.get(dot + ending)
        if content_type is not None:
            path = "/" if entry.name == INDEX else FOLDER + entry.name
            files[path] = (content_type, entry.read_bytes())
    return files
