"""Releases of Triton's container, and what each holds.

The page `docs/tasks/triton.md` shows this table.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...runtime.errors import UserError

REGISTRY = "nvcr.io/nvidia/tritonserver"
"""Name of the container image, without its tag."""

SOURCES = {
    "contents": "docs/introduction/release_notes.md of that release in triton-inference-server/server",
    "issue": "issue 6959 of triton-inference-server/server, where a maintainer lists the container's packages",
}
"""Places that name the TensorRT of a release.

The other columns: Triton from TRITON_VERSION of the release's branch in triton-inference-server/server; ONNX Runtime
from docs/introduction/compatibility.md there, before 24.04 from build.py of the branch; CUDA from NVIDIA's release
notes of Triton, else from the container with vLLM of the same release in compatibility.md.
"""

_FIRST_WITH_INPUT_LIMIT = "25.06"
"""First release whose src/command_line_parser.cc has the option."""


@dataclass(frozen=True)
class Release:
    """Release of the container.

    A version that no source names is empty.
    """

    name: str
    """Year and month, as the image's tag has them."""
    triton: str
    """Version of Triton Inference Server."""
    cuda: str
    """Major and minor version of CUDA."""
    onnxruntime: str
    """Version of ONNX Runtime."""
    tensorrt: str = ""
    """Version of TensorRT; engines of another one are not loaded."""
    evidence: str = ""
    """Key in `SOURCES` of the version of TensorRT."""

    def __post_init__(self) -> None:
        if bool(self.tensorrt) != (self.evidence in SOURCES):
            raise ValueError(f"the TensorRT of {self.name} and its source go together, got {self.evidence!r}")

    @property
    def image(self) -> str:
        """Name of the image with its tag."""
        return f"{REGISTRY}:{self.name}-py3"

    @property
    def limits_input(self) -> bool:
        """Whether the server has the option `--http-max-input-size`."""
        return self.name >= _FIRST_WITH_INPUT_LIMIT


RELEASES = (
    Release("24.01", "2.42.0", "12.3", "1.16.3"),
    Release("24.02", "2.43.0", "", "1.16.3", "8.6.3", "issue"),
    Release("24.03", "2.44.0", "", "1.17.2"),
    Release("24.04", "2.45.0", "12.4", "1.17.3"),
    Release("24.05", "2.46.0", "12.4", "1.18.0"),
    Release("24.06", "2.47.0", "12.5", "1.18.0"),
    Release("24.07", "2.48.0", "12.5", "1.18.1"),
    Release("24.08", "2.49.0", "12.6", "1.18.1", "10.3.0.26", "contents"),
    Release("24.09", "2.50.0", "12.6", "1.19.2"),
    Release("24.10", "2.51.0", "12.6", "1.19.2", "10.5.0.18", "contents"),
    Release("24.11", "2.52.0", "12.6", "1.19.2"),
    Release("24.12", "2.53.0", "12.6", "1.20.1", "10.7.0.23", "contents"),
    Release("25.01", "2.54.0", "12.8", "1.20.1"),
    Release("25.02", "2.55.0", "12.8", "1.20.1"),
    Release("25.03", "2.56.0", "12.8", "1.21.0"),
    Release("25.04", "2.57.0", "12.9", "1.21.0"),
    Release("25.05", "2.58.0", "12.9", "1.22.0"),
    Release("25.06", "2.59.0", "12.9", "1.22.0"),
    Release("25.07", "2.59.1", "12.9", "1.22.0"),
    Release("25.08", "2.60.0", "13.0", "1.23.0"),
    Release("25.09", "2.61.0", "13.0", "1.23.0"),
    Release("25.10", "2.62.0", "13.0", "1.23.1"),
    Release("25.11", "2.63.0", "13.0", "1.23.2"),
    Release("25.12", "2.64.0", "13.1", "1.23.2"),
    Release("26.01", "2.65.0", "13.1", "1.23.2"),
    Release("26.02", "2.66.0", "13.1", "1.24.1"),
    Release("26.03", "2.67.0", "13.2", "1.24.2"),
    Release("26.04", "2.68.0", "13.2", "1.24.4"),
    Release("26.05", "2.69.0", "13.2", "1.24.4"),
    Release("26.06", "2.70.0", "13.3", "1.24.4"),
    Release("26.07", "2.71.0", "13.3", "1.27.0"),
    Release("26.08", "2.72.0", "13.4", "1.28.0"),
)
"""Releases in order of time."""


def find_release(name: str | None) -> Release:
    """Find a release by its name.

    None stands for the newest.

    Raises:
        UserError: the table has no such release; the message lists those it has.
    """
    if name is None:
        return RELEASES[-1]
    for release in RELEASES:
        if release.name == name:
            return release
    known = ", ".join(release.name for release in RELEASES)
    raise UserError(f"there is no release {name!r} of Triton's container in the table; expected one of {known}")


def format_table() -> str:
    """Write the table of releases as Markdown."""
    lines = [
        "| container | Triton | CUDA | ONNX Runtime | TensorRT |",
        "|---|---|---|---|---|",
    ]
    for one in RELEASES:
        tensorrt = f"{one.tensorrt} ({one.evidence})" if one.tensorrt else "not found"
        cells = (one.name, one.triton, one.cuda or "not found", one.onnxruntime, tensorrt)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
