"""Command line of `python -m spair.training.labelling`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from ...runtime.errors import UserError
from ..data.corpus import read_photos
from ..data.pairs import listed, pair_folders, read_mask, read_rgb_uint8
from .labeller import PACKAGES, Labeller, load_encoder
from .teaching import Teaching, part_of, teach, write_labels


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the arguments, label, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m spair.training.labelling",
        description=f"Mark the shadows of photographs that have no masks. Needs: pip install {PACKAGES}",
    )
    parser.add_argument("--labelled", nargs=2, type=Path, required=True, metavar=("PHOTOS", "MASKS"))
    parser.add_argument(
        "--held-out",
        default="",
        metavar="STEMS",
        help="stems of labelled photographs to leave out, with commas between",
    )
    parser.add_argument("--photos", type=Path, required=True, help="folder of photographs to label")
    parser.add_argument("--out", type=Path, required=True, help="new folder for masks and clear")
    parser.add_argument("--networks", type=int, default=4, help="number of networks whose mean labels (default: 4)")
    parser.add_argument(
        "--steps", type=int, default=Teaching.steps, help="training steps of each network (default: %(default)s)"
    )
    try:
        return _run(parser.parse_args(arguments))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(given: argparse.Namespace) -> int:
    """Teach the networks and write the labels."""
    if min(given.networks, given.steps) < 1:
        raise UserError(f"--networks is {given.networks} and --steps is {given.steps}, expected at least 1 of each")
    if given.out.exists():
        raise UserError(f"--out {given.out} exists; name a new folder, or delete it")
    held_out = set(filter(None, given.held_out.split(",")))
    pairs = pair_folders(given.labelled[0], given.labelled[0], given.labelled[1])
    if missing := sorted(held_out - {pair.name for pair in pairs}):
        raise UserError(f"--held-out names {', '.join(missing)}, but {given.labelled[0]} has no such photograph")
    photos = [
        (read_rgb_uint8(pair.input), read_mask(pair.mask)) for pair in pairs if pair.name not in held_out and pair.mask
    ]
    unlabelled = dict(read_photos(given.photos, None))
    paths = [*unlabelled]
    if twice := sorted({path.stem for path in paths if [other.stem for other in paths].count(path.stem) > 1}):
        raise UserError(f"--photos {given.photos} has several pictures called {listed(twice)}; rename all but one")
    with part_of(given.out):  # check now, not after an hour, that the folder can be made
        pass
    how = Teaching(steps=given.steps)
    others = [photo for photo in unlabelled.values() if min(photo.shape[:2]) >= how.side]
    if not photos or not others:
        raise UserError(
            f"{len(photos)} labelled photographs and {len(others)} of {given.photos} that are at least {how.side} "
            "pixels high and wide were found; the networks learn from both, so give some of each"
        )
    networks = []
    for seed in range(given.networks):
        torch.manual_seed(seed)
        encoder = load_encoder()
        networks.append(Labeller(encoder, encoder.channels))
        teach(networks[-1], photos, others, how, seed)
    write_labels(networks, unlabelled, given.out)
    print(f"labelled {len(paths)} photographs with {len(networks)} networks: {given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
