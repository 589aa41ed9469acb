"""Laws of labelling photographs.

They cover learning from photographs with masks, the masks that are written, and refusals.
"""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from spair.training.labelling import __main__ as command
from spair.training.labelling.labeller import Labeller
from spair.training.labelling.teaching import Teaching, draw_batch, find_probability, teach, write_labels
from tests.temporary.dead import left_by_the_dead

SMALL = Teaching(steps=60, batch=4, side=32, simulate=0.25)


class Colours(nn.Module):
    """In place of the trained encoder."""

    channels = (8, 8)

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 2, 1)

    def forward(self, image):
        half = torch.relu(self.first(image))
        return [half, torch.relu(self.second(half))]


def photograph(rng, height=45, width=61):
    """Bright noise, of which a dark rectangle is the shadow."""
    mask = np.zeros((height, width), bool)
    top, left = rng.integers(0, height // 2), rng.integers(0, width // 2)
    mask[top : top + height // 2, left : left + width // 2] = True
    light = np.where(mask, 0.25, 0.9)[..., None] * rng.uniform(0.8, 1.0, (height, width, 3))
    return (255 * light).astype(np.uint8), mask


@pytest.fixture
def learnt():
    rng = np.random.default_rng(0)
    photos = [photograph(rng) for _ in range(4)]
    others = [np.full((40, 50, 3), 220, np.uint8)]

    def make(seed=0):
        torch.manual_seed(seed)
        network = Labeller(Colours(), Colours.channels, width=16)
        teach(network, photos, others, SMALL, seed)
        return network

    return make


def test_shadows_of_other_photographs_are_found(learnt):
    photo, mask = photograph(np.random.default_rng(9), 70, 53)
    found = find_probability([learnt()], photo)
    assert (found.shape, found.dtype) == ((70, 53), np.float32)
    # At the border of the shadow, of 35x26 pixels, one may be wrong: an eighth of its area.
    assert ((found > 0.5) & mask).sum() > 0.8 * ((found > 0.5) | mask).sum()


def test_the_same_seed_gives_the_same_labeller(learnt):
    one, two = (learnt(3).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_teaching_ends_with_averaged_weights_in_evaluation_mode(learnt, monkeypatch):
    last = []
    step = torch.optim.AdamW.step
    monkeypatch.setattr(
        torch.optim.AdamW,
        "step",
        lambda self, *_: (step(self), last.append([p.clone() for g in self.param_groups for p in g["params"]]))[0],
    )
    network = learnt()
    assert not network.training
    assert len(last) == SMALL.steps
    assert not torch.equal(next(network.encoder.parameters()), last[-1][0])


@pytest.mark.parametrize("mix", [0.0, 1.0])
def test_batches_hold_pictures_and_masks_of_one_size(mix):
    rng = np.random.default_rng(1)
    how = Teaching(batch=5, side=24, simulate=0.5, mix=mix)
    photos = [photograph(rng), photograph(rng, 24, 24)]
    image, mask = draw_batch(photos, [np.zeros((24, 24, 3), np.uint8)], how, np.random.default_rng(2))
    assert (image.shape, mask.shape) == ((5, 3, 24, 24), (5, 1, 24, 24))
    assert image.min() >= 0 and image.max() <= 1
    assert set(mask.unique().tolist()) == {0.0, 1.0}


def test_mixing_moves_a_rectangle_with_its_mask():
    dark, bright = np.zeros((24, 24, 3), np.uint8), np.full((24, 24, 3), 255, np.uint8)
    photos = [(dark, np.ones((24, 24), bool)), (bright, np.zeros((24, 24), bool))]
    how = Teaching(batch=8, side=24, simulate=0.0, mix=1.0)
    image, mask = draw_batch(photos, [], how, np.random.default_rng(0))
    assert ((image == 0).all(1, keepdim=True) == mask.bool()).all()  # what is dark is shadow, mixed or not
    mixed = [0 < share < 1 for share in mask.mean((1, 2, 3)).tolist()]
    assert any(mixed)


def write(folder, name, array):
    folder.mkdir(exist_ok=True)
    Image.fromarray(array).save(folder / f"{name}.png")
    return folder / f"{name}.png"


def test_labels_and_links_to_what_is_clear_are_written(tmp_path):
    photos = {tmp_path / f"{name}.jpg": np.full((20, 33, 3), value, np.uint8) for name, value in (("a", 0), ("b", 255))}
    part = left_by_the_dead(tmp_path / "out")
    write(part, "old", np.zeros((20, 33), np.uint8))
    write_labels([lambda image: (0.5 - image[:, :1]) * 100], photos, tmp_path / "out")
    masks = {path.stem: np.asarray(Image.open(path)) for path in (tmp_path / "out" / "masks").iterdir()}
    assert {name: (mask.shape, mask.mean()) for name, mask in masks.items()} == {"a": ((20, 33), 1), "b": ((20, 33), 0)}
    assert [path.readlink() for path in (tmp_path / "out" / "clear").iterdir()] == [tmp_path / "b.jpg"]
    assert not part.exists()


@pytest.fixture
def folders(tmp_path):
    rng = np.random.default_rng(5)
    for name in ("one", "two"):
        photo, mask = photograph(rng, 300, 280)
        write(tmp_path / "labelled", name, photo)
        write(tmp_path / "masks", name, mask)
    write(tmp_path / "photos", "three", photo)
    return tmp_path


def run(folder, *more):
    labelled = [str(folder / name) for name in ("labelled", "masks")]
    return command.main(
        ["--labelled", *labelled, "--photos", str(folder / "photos"), "--out", str(folder / "out"), *more]
    )


def test_the_command_labels_a_folder(folders, monkeypatch, capsys):
    monkeypatch.setattr(command, "load_encoder", Colours)
    assert run(folders, "--networks", "2", "--steps", "1", "--held-out", "one") == 0
    assert [path.name for path in (folders / "out" / "masks").iterdir()] == ["three.png"]
    assert "labelled 1 photographs with 2 networks" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--networks", "0"], "--networks is 0 and --steps is 400, expected at least 1"),
        (["--held-out", "one,four"], "--held-out names four, but"),
        (["--held-out", "one,two"], "0 labelled photographs and 1 of"),
        (["--photos", "nowhere"], "photos folder nowhere is missing or holds no pictures"),
        (["--out", "/proc/none/here"], "--out /proc/none/here cannot be made"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(folders, capsys, more, message):
    assert run(folders, *more) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ") and error.count("\n") == 1
    assert not (folders / "out").exists()


def test_photographs_of_one_name_are_refused(folders, capsys):
    write(folders / "photos", "three", np.zeros((300, 300, 3), np.uint8)).rename(folders / "photos" / "three.jpg")
    write(folders / "photos", "three", np.zeros((300, 300, 3), np.uint8))
    assert run(folders) == 2
    assert "has several pictures called three; rename all but one" in capsys.readouterr().err


def test_an_existing_folder_is_not_overwritten(folders, capsys):
    (folders / "out").mkdir()
    assert run(folders) == 2
    assert "out exists; name a new folder" in capsys.readouterr().err
