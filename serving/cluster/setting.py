"""Settings of a run on a cluster."""

from __future__ import annotations

from dataclasses import dataclass

from ...runtime.errors import UserError
from ...runtime.tiling.planning import PathChoice


@dataclass(frozen=True)
class ModelSetting:
    """Model with the way in which every actor opens it."""

    model: str
    """Absolute path of a bundle that every node sees, or the name of shipped weights."""
    backend: str = "onnxruntime"
    """Backend by its own name, so that all nodes take the same; not "auto"."""
    precision: str = "fp32"
    threads: int | None = None
    """CPU threads of an actor; None for all cores of its node."""
    tile: int | None = None
    tile_path: PathChoice = "auto"
    trust_code: bool = False
    expect_digest: tuple[str, ...] = ()
    threshold: float | str | None = None
    """Threshold of the mask, see `Restorer.open`; None for the model's own."""
    flips: int = 1
    """Number of mirrored pictures to average, see `Restorer.open`."""

    @property
    def on_gpu(self) -> bool:
        """Whether each actor needs a GPU of its own."""
        return self.backend in ("cuda", "tensorrt")


@dataclass(frozen=True)
class ClusterSetting:
    """Cluster with the number of actors on it."""

    address: str
    """Address as `ray.init` takes it; "auto" finds a running cluster, "local" starts one on this machine."""
    actors: int | None = None
    """Number of actors; None for as many as the nodes' cores hold with the threads of each."""

    def __post_init__(self) -> None:
        host, _, port = self.address.rpartition(":")
        if self.address not in ("auto", "local") and not (
            host and "/" not in host and port.isdecimal() and int(port) < 65536
        ):
            raise UserError(f"cannot use the Ray address {self.address!r}; expected auto, local or HOST:PORT")
        if self.actors is not None and self.actors < 1:
            raise UserError(f"the number of actors is {self.actors}; expected at least 1, or leave it out")
