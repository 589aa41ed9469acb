"""Everything that the toolkit replaces on disk, as pairs of a writer and a reader of one word.

The reader fails when what it reads is neither whole nor of one version.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spair.plugins.compiler.cache import Cache
from spair.runtime import Bundle
from spair.runtime.bundle.reader import reread
from spair.runtime.bundle.writer import extend_bundle, write_bundle
from spair.runtime.files import write_atomically
from spair.serving.repository.folder import write_folder

LENGTH = 3000
"""Times that a word is repeated in a file, so that the file is written in more than one block."""


@dataclass(frozen=True)
class Writer:
    """Something that is written into a folder, whole or not at all."""

    name: str
    """The only name in the folder afterwards."""
    write: Callable[[Path, str], None]
    read: Callable[[Path], str]
    quick: bool = True
    """Whether the short run has it."""
    one_step: bool = True
    """Whether readers meet one version at every moment; some folders are replaced file by file."""


def fill(word: str) -> bytes:
    return word.encode() * LENGTH


def unfill(content: bytes) -> str:
    word = content[: len(content) // LENGTH].decode()
    assert content == fill(word), "half a file, or two versions in one"
    return word


def write_whole_bundle(folder: Path, word: str) -> None:
    graphs = {"fp32": {"model": "graphs/fp32/model.onnx"}}
    fields = {
        "kind": "foreign",
        "task": word,
        "network": {"multiple": 4, "halo": 3},
        "graphs": graphs,
        "inputs": [{"name": "image", "channels": 3}],
        "outputs": ["restored"],
    }
    write_bundle(folder / "a.spair", fields, {"graphs/fp32/model.onnx": fill(word), "other": fill(word)}, force=True)


def add_to_bundle(folder: Path, word: str) -> None:
    if not (folder / "a.spair").is_dir():
        write_whole_bundle(folder, word)
    extend_bundle(Bundle.open(folder / "a.spair"), {"task": word}, {"added": fill(word)})


def read_bundle(folder: Path, file: str = "graphs/fp32/model.onnx") -> str:
    def read() -> tuple[str, bytes]:
        bundle = Bundle.open(folder / "a.spair")
        return bundle.manifest.task, bundle.contents()[file].read_bytes()

    for _ in range(20):  # a file may be replaced between its hash and this reading of it, which is the test's own
        task, content = reread(read)
        if unfill(content) == task:
            return task
    raise AssertionError("two versions in one bundle")


def write_repository(folder: Path, word: str) -> None:
    write_folder(
        folder / "repository", {"rain/1/model.py": fill(word), "other": fill(word)}, {"word": word}, force=True
    )


def read_repository(folder: Path) -> str:
    for _ in range(20):  # it has no reader of ours that would notice a replacement
        try:
            word = json.loads((folder / "repository" / "repository.json").read_text())["word"]
            if unfill((folder / "repository" / "other").read_bytes()) == word:
                return str(word)
        except FileNotFoundError:
            continue
    raise AssertionError("two versions in one repository")


def store_kernels(folder: Path, word: str) -> None:
    Cache(folder).store("key", {"cubin": fill(word)})


def load_kernels(folder: Path) -> str:
    return unfill(Cache(folder).load("key")["cubin"])


def write_checkpoint(folder: Path, word: str) -> None:
    from spair.network import SPAIR, TINY, save_checkpoint

    save_checkpoint(SPAIR(TINY), folder / "a.safetensors", task=word)


def read_checkpoint(folder: Path) -> str:
    from spair.network import load_checkpoint

    return load_checkpoint(folder / "a.safetensors").task


def write_results(folder: Path, word: str) -> None:
    from spair.training.evaluation.session.results import Drawing, open_results
    from tests.training.evaluation.session.test_results import Kind

    with open_results(folder / "out", Kind(), Drawing(("ours",))) as results:
        results.finish({"word": word * LENGTH})


def read_results(folder: Path) -> str:
    return unfill(json.loads((folder / "out" / "report.json").read_text())["word"].encode())


def save_state(folder: Path, word: str) -> None:
    from spair.training.loop.state import AtomicCheckpointIO

    AtomicCheckpointIO().save_checkpoint({"word": word * LENGTH}, folder / "last.ckpt")


def read_state(folder: Path) -> str:
    import torch

    return unfill(torch.load(folder / "last.ckpt", weights_only=True)["word"].encode())


WRITERS = (
    Writer("file", lambda folder, word: write_atomically(folder / "file", fill(word)),
           lambda folder: unfill((folder / "file").read_bytes())),
    Writer("a.spair", write_whole_bundle, read_bundle),
    Writer("a.spair", add_to_bundle, lambda folder: read_bundle(folder, "added")),
    Writer("repository", write_repository, read_repository),
    Writer("key.zip", store_kernels, load_kernels),
    Writer("a.safetensors", write_checkpoint, read_checkpoint, quick=False),
    Writer("out", write_results, read_results, quick=False, one_step=False),
    Writer("last.ckpt", save_state, read_state, quick=False),
)  # fmt: skip
IDS = ("file", "bundle", "addition to a bundle", "repository", "kernels", "checkpoint", "results", "state")
