"""Running verbs in this process, and the inputs they are given."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from spair.cli.main import app
from spair.runtime.images import Picture, write_image


@dataclass(frozen=True)
class Run:
    """What a verb did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict:
        """The one JSON object on stdout; NaN and infinities are refused."""
        lines = self.out.splitlines()
        assert len(lines) == 1, self.out + self.err

        def refuse(name: str) -> None:
            raise AssertionError(f"{name} is not strict JSON")

        return json.loads(lines[0], parse_constant=refuse)

    def refused(self, match: str, code: int = 2) -> None:
        """One sentence on stderr, nothing on stdout."""
        assert (self.code, self.out) == (code, ""), self.err
        sentences = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(sentences) == 1 and "Traceback" not in self.err, self.err
        assert re.search(match, sentences[0]), sentences[0]


Spair = Callable[..., Run]


@pytest.fixture
def spair() -> Spair:
    """`spair("inspect", path, "--json")`; a bug in a verb is raised."""

    def run(*arguments: object) -> Run:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Run(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A copy of the tiny bundle that a test may damage."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "copy.spair"))


@pytest.fixture
def edit_manifest(bundle: Path) -> Callable[[Callable[[dict], None]], None]:
    """Change the manifest of `bundle` in place."""

    def edit(change: Callable[[dict], None]) -> None:
        file = bundle / "manifest.json"
        manifest = json.loads(file.read_text())
        change(manifest)
        file.write_text(json.dumps(manifest))

    return edit


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A folder with input, target and mask: two smooth pictures of awkward sizes, with bright streaks in the inputs."""
    random = np.random.default_rng(5)
    for name, size in (("7", (41, 57)), ("12", (30, 66))):
        height, width = size
        ramp = np.linspace(40, 170, width)[None, :, None] * np.linspace(0.6, 1.0, height)[:, None, None]
        clean = np.broadcast_to(ramp, (height, width, 3)).astype(np.uint8)
        mask = np.broadcast_to(random.random((1, width, 1)) < 0.2, (height, width, 1))
        rainy = (clean + mask * np.uint8(70)).astype(np.uint8)
        for role, pixels in (("input", rainy), ("target", clean), ("mask", mask.astype(np.uint8) * np.uint8(255))):
            (tmp_path / role).mkdir(exist_ok=True)
            write_image(tmp_path / role / f"{name}.png", Picture(np.ascontiguousarray(pixels)))
    return tmp_path


FACTORY = """
import torch

class Brighten(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        return torch.clamp(x + 0.1 * self.conv(x), 0, 1), self.conv(x)

def build():
    return Brighten()

def fail():
    raise OSError("no such device")
"""


@dataclass(frozen=True)
class Foreign:
    """Somebody else's network: a module with a factory in the current folder, and its checkpoint."""

    checkpoint: Path
    factory: str


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Foreign:
    import torch

    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "their_network.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path / "code")
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    monkeypatch.delitem(__import__("sys").modules, "their_network", raising=False)
    torch.manual_seed(1)
    module = torch.nn.Conv2d(3, 3, 3, padding=1)
    torch.save({f"conv.{name}": value for name, value in module.state_dict().items()}, tmp_path / "their.pth")
    return Foreign(tmp_path / "their.pth", "their_network:build")
