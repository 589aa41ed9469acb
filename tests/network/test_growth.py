"""Laws of growing a network: the same function, and no dead channels."""

import dataclasses
from pathlib import Path

import pytest
import torch

import spair.network
from spair.network import BASE, LARGE, SPAIR, TINY, CheckpointError, load_checkpoint
from spair.network.growth import ADDING, FILTERS, PASSING, _name_layer, describe_obstacle, grow
from tests.network.small import SMALL, make_mask, make_picture, randomize

SHIPPED = Path(spair.network.__file__).parent / "weights"
WIDER = dataclasses.replace(
    SMALL,
    name="wider",
    local_channels=(5, 6, 31),
    detail_channels=9,
    channels=(13, 8, 24),
    pairs=(3, 2, 5),
    attention_channels=33,
)
WIDEST = dataclasses.replace(
    WIDER, name="widest", local_channels=(16, 16, 40), channels=(14, 30, 30), pairs=(3, 3, 6), attention_channels=70
)
WAYS = {
    "small to wider": (SMALL, WIDER),
    "wider to widest": (WIDER, WIDEST),
    "small to itself": (SMALL, SMALL),
    "tiny to base": (TINY, BASE),
    "base to large": (BASE, LARGE),
}
FLOAT64_STEPS = torch.finfo(torch.float64).eps / torch.finfo(torch.float32).eps


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)  # several wait for each other on pictures this small


@torch.no_grad()
def measure_rounding(model: SPAIR, image: torch.Tensor, mask: torch.Tensor) -> tuple[float, float]:
    """Measure the largest error of float32 in the picture and the logits of a network."""
    exact, rounded = model.double()(image.double(), mask.double()), model.float()(image, mask)
    return tuple(
        (getattr(exact, part) - getattr(rounded, part)).abs().max().item() + torch.finfo(torch.float32).eps
        for part in ("image", "logits")
    )


@torch.no_grad()
def find_differences(one: SPAIR, other: SPAIR, image: torch.Tensor, mask: torch.Tensor | None) -> tuple[float, float]:
    """Measure the largest differences of pictures and logits; masks are equal."""
    first, second = one(image, mask), other(image, mask)
    assert torch.equal(first.mask, second.mask)
    return tuple((getattr(first, part) - getattr(second, part)).abs().max().item() for part in ("image", "logits"))


def require_same(trained: SPAIR, grown: SPAIR, image: torch.Tensor, mask: torch.Tensor | None) -> None:
    """Compare two networks in float64.

    Each errs by what float32 does, times the ratio of the steps of both types. They add in another order, which may
    double it.
    """
    bounds = measure_rounding(trained, image, draw_mask(image, "left") if mask is None else mask)
    trained, grown = trained.double(), grown.double()
    differences = find_differences(trained, grown, image.double(), None if mask is None else mask.double())
    for difference, bound in zip(differences, bounds, strict=True):
        assert difference <= 4 * FLOAT64_STEPS * bound


def draw_mask(image: torch.Tensor, kind: str) -> torch.Tensor | None:
    """Draw a mask: found, none, all, spots in the left half alone, or one pixel in the corner.

    Spots everywhere would leave no clean pixel at quarter size, and so no key.
    """
    mask = torch.ones_like(image[:, :1]) if kind == "all" else torch.zeros_like(image[:, :1])
    if kind == "corner":
        mask[..., -1, -1] = 1
    if kind == "left":
        left = slice(image.shape[3] // 2)
        mask[..., left] = make_mask(image[..., left], 0.5)
    return None if kind == "found" else mask


MASKS = ("found", "none", "all", "left", "corner")


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("size", [(1, 1), (7, 13), (33, 40)], ids=str)
@pytest.mark.parametrize("way", list(WAYS)[:3])
def test_a_grown_network_computes_what_the_trained_one_does(way, size, mask):
    start, wanted = WAYS[way]
    trained, image = randomize(SPAIR(start)), make_picture(2, *size)
    require_same(trained.double(), grow(trained.double(), wanted), image, draw_mask(image, mask))


@pytest.mark.parametrize("way", list(WAYS)[3:])
def test_each_preset_grows_to_the_next(way):
    start, wanted = WAYS[way]
    trained, image = randomize(SPAIR(start)), make_picture(1, 21, 45)
    grown = grow(trained.double(), wanted)
    assert grown.preset == wanted
    assert not grown.training
    for mask in ("found", "left"):
        require_same(trained, grown, image, draw_mask(image, mask))


def draw_streaks(height: int, width: int) -> torch.Tensor:
    """Draw a smooth picture with bright streaks in its right half, [1, 3, H, W]."""
    down, right = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    picture = 0.2 + 0.4 * torch.stack((down, right, 1 - down))[None]
    picture[..., width // 2 :: 7] += 0.25
    return picture


@pytest.mark.parametrize("wanted", [BASE, LARGE], ids=lambda preset: preset.name)
def test_shipped_weights_grow_and_restore_as_before(wanted):
    trained, image = load_checkpoint(SHIPPED / "rain-tiny.safetensors").model, draw_streaks(45, 61)
    found = trained(image).mask
    assert 0 < found[..., 30:].mean() < 1
    for mask in (None, draw_mask(image, "left")):
        require_same(trained.double(), grow(trained.double(), wanted), image, mask)


def test_a_grown_network_in_float32_errs_as_the_trained_one_does():
    trained, image = load_checkpoint(SHIPPED / "rain-tiny.safetensors").model, draw_streaks(45, 61)
    mask = trained(image).mask
    bounds = measure_rounding(trained, image, mask)
    for difference, bound in zip(find_differences(trained, grow(trained, BASE), image, mask), bounds, strict=True):
        assert difference <= 4 * bound


@pytest.mark.parametrize("gate", [True, False])
def test_a_network_without_a_gate_grows_too(gate):
    trained = randomize(SPAIR(dataclasses.replace(SMALL, gate_output=gate))).double()
    image = make_picture(1, 19, 24)
    require_same(trained, grow(trained, dataclasses.replace(WIDER, gate_output=gate)), image, draw_mask(image, "left"))


def read_new(trained: dict[str, torch.Tensor], name: str, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the values of a grown layer for its new outputs, and those for its new inputs with inputs first."""
    outputs, inputs = trained[name].shape[:2] if name in trained else (0, 0)
    return value[outputs:], value.transpose(0, 1)[inputs:]


@pytest.mark.parametrize(
    ("trained", "wanted"),
    [(randomize(SPAIR(SMALL)), WIDEST), (load_checkpoint(SHIPPED / "rain-tiny.safetensors").model, BASE)],
    ids=["small to widest", "rain-tiny to base"],
)
def test_every_new_channel_learns_after_a_few_steps(trained, wanted):
    grown = grow(trained, wanted).train()
    image, target = draw_streaks(64, 96), make_picture(1, 64, 96)
    mask = draw_mask(image, "left")
    optimizer = torch.optim.AdamW(grown.parameters(), lr=1e-3)
    for _ in range(3):
        optimizer.step()
        optimizer.zero_grad()
        restored = grown(image, mask)
        ((restored.image - target).square().mean() + restored.logits.square().mean()).backward()
    before = trained.state_dict()
    for name, parameter in grown.named_parameters():
        if name == "net_r.snl.key.bias":  # a softmax does not see a constant added to all keys
            continue
        if parameter.dim() == 1:
            assert (parameter.grad[len(before.get(name, [])) :] != 0).all(), name
            continue
        for channels in read_new(before, name, parameter.grad):
            assert (channels != 0).flatten(1).any(1).all(), name


def test_growing_leaves_the_trained_network_alone_and_keeps_its_weights_in_place():
    trained = randomize(SPAIR(SMALL))
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    grown = grow(trained, WIDER, seed=4).state_dict()
    for name, value in trained.state_dict().items():
        assert torch.equal(value, before[name]), name
        kept = grown[name][tuple(slice(count) for count in value.shape)]
        assert torch.equal(kept, value) or name.startswith("net_r.snl.query."), name


def test_random_filters_sum_to_zero_and_follow_the_seed():
    trained = SPAIR(SMALL)
    one, same, other = (grow(trained, WIDEST, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    drawn = [name for name in one if not torch.equal(one[name], other[name])]
    assert {_name_layer(name) for name in drawn} == FILTERS
    for name in drawn:
        new, _ = read_new(trained.state_dict(), name, one[name])
        rounding = new.abs().max() * new.shape[-1] ** 2 * torch.finfo(new.dtype).eps
        assert new.std() > 0
        if new.shape[-1] > 1:
            assert new.sum((2, 3)).abs().max() <= rounding, name


def test_every_layer_of_the_network_has_a_rule():
    layers = {_name_layer(name) for name, value in SPAIR(TINY).state_dict().items() if value.dim() > 1}
    assert layers == FILTERS | PASSING | ADDING
    assert len(layers) == len(FILTERS) + len(PASSING) + len(ADDING)


@pytest.mark.parametrize(
    ("start", "wanted", "message"),
    [
        (BASE, TINY, r"'base' cannot grow to 'tiny': it is larger in local_channels \(\(40, 56, 80\) instead of at "),
        (TINY, dataclasses.replace(BASE, pairs=(1, 9, 9)), r"larger in pairs \(\(2, 2, 2\) instead of at most \(1, 9"),
        (TINY, dataclasses.replace(BASE, detail_channels=7), r"larger in detail_channels \(8 instead of at most 7\);"),
        (TINY, dataclasses.replace(BASE, grid=32), r"of another grid \(16 instead of 32\); give a preset"),
        (TINY, dataclasses.replace(BASE, gate_output=False), r"of another gate_output \(True instead of False\)"),
    ],
)
def test_what_cannot_grow_is_refused_in_a_sentence(start, wanted, message):
    assert describe_obstacle(start, wanted)
    with pytest.raises(CheckpointError, match=message):
        grow(SPAIR(start), wanted)


def test_a_weight_from_a_new_channel_would_be_seen():
    trained, image = randomize(SPAIR(SMALL)).double(), make_picture(1, 33, 40)
    for name in ("net_l.encode_half.first.weight", "net_r.fuse.0.weight", "net_r.snl.query.bias"):
        grown = grow(trained, WIDER)
        with torch.no_grad():
            (grown.get_parameter(name)[:, -1] if "weight" in name else grown.get_parameter(name)).add_(1e-6)
        with pytest.raises(AssertionError):
            require_same(trained, grown, image, draw_mask(image, "left"))
