"""Laws of reviving channels: what never fires is found, fires again, learns, and disturbs little."""

import copy

import pytest
import torch

from spair.network import SPAIR
from spair.network.revival import find_silent, revive
from tests.network.small import SMALL, randomize

INSIDE = "net_r.scm.2.pairs.0.first"
OUTSIDE = "net_r.fuse.1"


@pytest.fixture
def images():
    return torch.rand(3, 3, 32, 40, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def make(images):
    """Make a network in which every channel fires, but for some of two layers."""

    def build(inside=(), outside=()) -> SPAIR:
        torch.manual_seed(2)
        model = randomize(SPAIR(SMALL)).eval()
        with torch.no_grad():
            model.net_l.head.bias += 1.0  # most pixels are marked
            for name, parameter in model.named_parameters():  # a hidden channel fires somewhere
                if name.endswith("first.bias") or ("fuse" in name and name.endswith("bias")):
                    parameter += 1.0
            for layer, silent in ((INSIDE, inside), (OUTSIDE, outside)):
                model.get_submodule(layer).bias[list(silent)] = -1000.0
        return model

    return build


def states_equal(one: SPAIR, other: SPAIR) -> bool:
    return all(torch.equal(mine, theirs) for mine, theirs in zip(one.parameters(), other.parameters(), strict=True))


def test_only_what_never_fires_is_found(make, images):
    found = find_silent(make(inside=[1, 4], outside=[0]), images)
    assert {name: silent.nonzero().flatten().tolist() for name, silent in found.items() if silent.any()} == {
        INSIDE: [1, 4],
        OUTSIDE: [0],
    }
    assert len(found) == 3 + sum(SMALL.pairs), "every layer with a ReLU"


def test_a_channel_that_fires_on_one_pixel_of_many_is_left_alone(make):
    layer_name, model = "net_r.scm.0.pairs.0.first", make()
    image, responses = torch.rand(1, 3, 104, 104, generator=torch.Generator().manual_seed(6)), []
    layer = model.get_submodule(layer_name)
    handle = layer.register_forward_hook(lambda module, given, result: responses.append(result))
    with torch.no_grad():
        layer.bias[1] = 1000.0  # so that responses below zero are seen too
        model(image)
        handle.remove()
        assert responses[0].shape[2:] == image.shape[2:]
        first, second = responses[0][0, 1].flatten().topk(2).values
        assert first - second > 0.01, "far more than what sums round"
        for offset, silent in (((first + second) / 2, []), (first + 1.0, [1])):
            layer.bias[1] = 1000.0 - offset
            assert find_silent(model, image)[layer_name].nonzero().flatten().tolist() == silent


def test_a_living_network_stays_as_it_is(make, images):
    model = make()
    before = copy.deepcopy(model)
    assert revive(model, images) == {}
    assert states_equal(model, before)


def test_a_revived_pair_computes_what_it_did_and_learns(make, images):
    model = make(inside=[1, 4])
    with torch.no_grad():
        before = model(images).image
    assert revive(model, images) == {INSIDE: 2}
    assert not find_silent(model, images)[INSIDE].any()
    after = model(images).image
    assert torch.equal(after, before), "what was zero is multiplied with zero"
    after.square().sum().backward()
    reading = model.get_submodule("net_r.scm.2.pairs.0.second").weight.grad[:, [1, 4]]
    assert (reading.abs().amax((0, 2, 3)) > 0).all()


def test_a_revived_channel_that_is_read_at_once_disturbs_little_and_learns(make, images):
    silent, loud = make(outside=[0]), make(outside=[0])
    with torch.no_grad():
        before = silent(images).image
        assert revive(silent, images, seed=3) == {OUTSIDE: 1}
        revive(loud, images, seed=3)
        loud.get_submodule(OUTSIDE).weight[0] *= 20  # the usual size
        whole = (loud(images).image - before).abs().max()
    after = silent(images).image
    assert 0 < (after - before).abs().max() < whole / 5
    after.square().sum().backward()
    assert silent.get_submodule(OUTSIDE).weight.grad[0].abs().max() > 0


def test_the_seed_draws_the_filters(make, images):
    one, same, other = (make(inside=[2]) for _ in range(3))
    for model, seed in ((one, 7), (same, 7), (other, 8)):
        revive(model, images, seed=seed)
    assert states_equal(one, same) and not states_equal(one, other)


def test_pictures_without_distortion_tell_nothing(make, images):
    model = make()
    with torch.no_grad():
        model.net_l.head.bias -= 1000.0
    with pytest.raises(ValueError, match="no distorted pixel"):
        revive(model, images)
