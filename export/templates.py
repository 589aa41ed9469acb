"""Maker of the templates of shipped weights.

`python -m spair.export.templates [NAME ...]` exports the shipped weights and writes their templates beside them; see
`spair.runtime.shipped.template`. To be run after the weights or the exporter changed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np

from ..runtime.bundle.reader import Bundle
from ..runtime.errors import UserError
from ..runtime.files import write_atomically
from ..runtime.shipped.models import list_models
from ..runtime.shipped.template import Stretch, Template, arrange
from ..runtime.shipped.tensors import StoredTensors, read_tensors
from ..temporary.places import scratch_folder
from .exporter import export_checkpoint

SHUFFLED = 4
"""Number of outputs of a convolution that a pixel shuffle by 2 turns into one; packed graphs store them apart."""


def make_template(bundle: Bundle, tensors: StoredTensors) -> Template:
    """Take the weights of a checkpoint out of its bundle.

    Every place of a graph's file is found that holds the bytes of a tensor, in the checkpoint's order or in the one of
    packed graphs. Weights in any other order stay in the template, which is then larger and still right.

    Args:
        bundle: the exported checkpoint, hashes checked now.
        tensors: the checkpoint.

    Raises:
        UserError: a changed file of the bundle.
    """
    graphs: dict[str, list[Stretch]] = {}
    literals: list[bytes] = []
    for name, path in bundle.contents().items():
        content = path.read_bytes()
        graphs[name], position = [], 0
        for start, stop, tensor, view in _find_weights(content, tensors):
            graphs[name].append(Stretch(start - position, tensor, view))
            literals.append(content[position:start])
            position = stop
        graphs[name].append(Stretch(len(content) - position, None, None))
        literals.append(content[position:])
    return Template(bundle.manifest.raw, graphs, b"".join(literals))


def _find_weights(content: bytes, tensors: StoredTensors) -> list[tuple[int, int, str, tuple[int, ...] | None]]:
    """Find the weights in a graph's file.

    Returns:
        (start, stop, tensor, view) of each, in order and without overlaps.
    """
    found: dict[int, tuple[int, int, str, tuple[int, ...] | None]] = {}
    # Largest first, and tensors that could stand anywhere, such as single numbers, not at all.
    for name in sorted(tensors.names(), key=lambda one: -tensors.read(one).nbytes):
        tensor = tensors.read(name)
        for view in _list_views(tensor) if tensor.nbytes >= 64 else ():
            wanted = arrange(tensor, view).tobytes()
            start = content.find(wanted)
            while start >= 0:
                stop = start + len(wanted)
                if all(stop <= other[0] or other[1] <= start for other in found.values()):
                    found[start] = start, stop, name, view
                start = content.find(wanted, stop)
    return [found[start] for start in sorted(found)]


def _list_views(tensor: np.ndarray) -> Iterator[tuple[int, ...] | None]:
    yield None
    yield tensor.shape
    if tensor.shape[0] % SHUFFLED == 0:
        yield (tensor.shape[0] // SHUFFLED, SHUFFLED, *tensor.shape[1:])


def main(names: list[str]) -> None:
    """Write the templates of shipped weights.

    Without names it writes all.

    Raises:
        UserError: there are no shipped weights of a name.
    """
    models = list_models()
    if unknown := sorted(set(names) - {model.name for model in models}):
        raise UserError(
            f"there are no shipped weights {', '.join(unknown)}; give names of {', '.join(one.name for one in models)}"
        )
    for model in models:
        if names and model.name not in names:
            continue
        with scratch_folder("template") as folder:
            path = folder / f"{model.stem}.spair"
            export_checkpoint(model.checkpoint, path, progress=lambda step: None)
            template = make_template(Bundle.open(path), read_tensors(model.checkpoint)).to_bytes()
        write_atomically(model.template, template)
        print(f"{model.template}: {len(template)} bytes")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
