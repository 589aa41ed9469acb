"""Options of a server."""

from __future__ import annotations

from dataclasses import dataclass

from ..runtime.errors import UserError


@dataclass(frozen=True)
class Limits:
    """Bounds on what a client may ask for."""

    pixels: int = 7680 * 4320
    """Largest number of pixels of a request, all its pictures together; as many as an 8K picture has."""
    pictures: int = 1024
    """Largest number of pictures of a request; each has a report of its own, however small it is."""
    body_bytes: int = 256 * 1024**2
    """Largest body of a request, decompressed."""
    queue: int = 32
    """Largest number of requests that wait for a model; more are refused."""
    queue_bytes: int = 1024**3
    """Largest number of bytes of the requests that wait for a model; one request alone may always wait."""
    viewers: int = 16
    """Largest number of those who look at one camera or stream."""
    seconds: float = 60.0
    """Longest time from the arrival of a request to its answer."""

    def __post_init__(self) -> None:
        counts = (self.pixels, self.pictures, self.body_bytes, self.queue, self.queue_bytes, self.viewers)
        if min(counts) < 1 or not 0 < self.seconds < float("inf"):
            raise UserError(f"limits of a server must be positive and finite, got {self}")


@dataclass(frozen=True)
class ModelOptions:
    """Way in which models are opened; see `Restorer.open`."""

    backend: str = "auto"
    precision: str = "fp32"
    threads: int | None = None
    tile: int | None = None
    trust_code: bool = False
    batch: int = 1
    """Largest number of pictures that are computed in one go, of requests of equal size that wait one behind the other.
    A request with more pictures is computed alone, and no request ever waits for others to come."""
    expect_digest: tuple[str, ...] = ()
    flips: int = 1

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise UserError(f"the batch is {self.batch} pictures, expected at least 1")
