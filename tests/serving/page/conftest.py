"""Fixtures for tests of the page."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.page.browser import Browser, browsing, find_browser
from tests.serving.page.fake import FakeServer, draw_photo, encode


@pytest.fixture(scope="session")
def _window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests, since its start takes seconds."""
    programs = find_browser()
    if programs is None:
        pytest.skip("the page needs a browser, but Chromium or its driver is not installed")
    with browsing(programs, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(_window: Browser, tmp_path: Path) -> Browser:
    """A browser that downloads to `tmp_path`."""
    _window.download_to(tmp_path)
    return _window


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server with the page and two made-up models."""
    with FakeServer() as server:
        yield server


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A JPEG file."""
    path = tmp_path / "garden.jpg"
    path.write_bytes(encode(draw_photo(), "JPEG", quality=95))
    return path
