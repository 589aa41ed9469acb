"""Options of an engine's build."""

from __future__ import annotations

from dataclasses import dataclass

from ...runtime.errors import UserError


@dataclass(frozen=True)
class EngineOptions:
    """Options of an engine's build.

    Pictures up to the largest size, and batches up to `batch`, run on the engine.
    """

    usual: tuple[int, int] = (1280, 720)
    """Width and height in pixels that the engine is tuned for."""
    largest: tuple[int, int] = (1920, 1080)
    """Largest width and height in pixels."""
    batch: int = 1
    """Largest number of pictures at a time."""
    tf32: bool = False
    """Whether FP32 products may lose 13 bits, as they do by TensorRT's own default."""
    level: int | None = None
    """Optimization level of TensorRT's builder, 0 to 5. None: its own default."""
    workspace: int | None = None
    """Most MiB of memory that the layers of an engine may use. None: a share of what is free when it is built."""
    keep_outputs: tuple[str, ...] = ()
    """Patterns of names of tensors that become outputs too, because TensorRT fuses no layers over an output."""

    def __post_init__(self) -> None:
        fits = all(1 <= usual <= most for usual, most in zip(self.usual, self.largest, strict=True))
        if not fits or self.batch < 1:
            raise UserError(
                f"the usual size {_size(self.usual)} must lie within the largest size {_size(self.largest)}, and the "
                f"batch be at least 1, got {self.batch}"
            )
        if self.level is not None and not 0 <= self.level <= 5:
            raise UserError(f"the optimization level must be 0 to 5, got {self.level}")
        if self.workspace is not None and self.workspace < 1:
            raise UserError(f"the workspace must be at least 1 MiB, got {self.workspace}")

    def shapes(self, *, planes: bool = False) -> list[list[int]]:
        """Return the least, usual and largest shape of pictures.

        Args:
            planes: return `[N,3,H,W]` in place of `[N,H,W,3]`.
        """
        sizes = ((1, [1, 1]), (1, [*reversed(self.usual)]), (self.batch, [*reversed(self.largest)]))
        return [[batch, 3, *size] if planes else [batch, *size, 3] for batch, size in sizes]


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
