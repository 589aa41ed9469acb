"""The picture among several outputs is the only one it can be, or the one that is named."""

import pytest
import torch

from spair.export.foreign import ForeignInterface
from spair.export.foreign.choosing import choose_outputs
from spair.runtime import UserError

SIZE = (8, 12)


def leaf(channels=3, scale=1.0, value=0.0):
    return torch.full((1, channels, int(SIZE[0] * scale), int(SIZE[1] * scale)), value)


def choose(leaves, keys=None, **fields):
    keys = keys or tuple(map(str, range(len(leaves))))
    return choose_outputs("Net", tuple(leaves), keys, ForeignInterface(**fields), SIZE)


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_pictures_may_be_larger_by_these_factors(scale):
    choice = choose([leaf(scale=scale)])
    assert (choice.scale, choice.names) == (scale, ("restored",))


@pytest.mark.parametrize(
    "output", [leaf(scale=0.5), leaf(scale=5), torch.zeros(1, 3, 8, 24), torch.zeros(1, 3), torch.zeros(())], ids=str
)
def test_a_picture_of_another_size_is_refused(output):
    with pytest.raises(UserError, match=r"'restored' of Net has the shape \S+ for pictures of 8x12, .*2, 3, 4"):
        choose([output])


@pytest.mark.parametrize("channels", [1, 4])
def test_a_picture_of_other_channels_is_refused(channels):
    with pytest.raises(UserError, match=rf"'restored' of Net has {channels} channels, expected the 3 of the picture"):
        choose([leaf(channels)])


def test_the_only_picture_is_found_and_what_no_padding_graph_can_give_is_left_out():
    leaves = [leaf(scale=0.25), leaf(scale=0.5), leaf(value=1.0), leaf(1)]
    assert choose(leaves).places == (2, 0, 1, 3)
    padded = choose(leaves, multiple=4)
    assert padded.places == (2, 3) and padded.names == ("restored", "output_3")
    assert any("output_0, output_1 are left out" in note for note in padded.notes)


@pytest.mark.parametrize(("picture", "place"), [(0, 0), (-1, 2), (2, 2), ("clean", 1), ("output_2", 2)], ids=str)
def test_the_picture_is_named_by_place_or_key(picture, place):
    leaves = [leaf(value=0.0), leaf(value=1.0), leaf(value=2.0)]
    choice = choose(leaves, ("noise", "clean", "2"), picture=picture)
    assert choice.places == (place,) and choice.names == ("restored",)


@pytest.mark.parametrize("picture", [3, -4, "other"])
def test_a_name_of_no_output_is_refused(picture):
    with pytest.raises(UserError, match=r"no output .*--picture takes one of 0 or noise, 1"):
        choose([leaf(), leaf()], ("noise", "1"), picture=picture)


def test_a_named_output_that_is_no_picture_is_refused():
    with pytest.raises(UserError, match="has the shape 1x3x4x6"):
        choose([leaf(), leaf(scale=0.5)], picture=1)


def test_several_stages_need_a_choice_unless_the_last_comes_first_as_well():
    stages = [leaf(value=0.0), leaf(value=1.0), leaf(value=2.0)]
    with pytest.raises(UserError, match=r"several .* the picture: 0 .*, 1 .*, 2 .*--picture, where -1"):
        choose(stages)
    assert choose([stages[-1], *stages]).places == (0, 1, 2, 3)


def test_the_names_of_outputs_count_from_the_first():
    leaves = [leaf(value=0.0), leaf(value=1.0)]
    choice = choose(leaves, outputs=("noise", "restored"))
    assert choice.places == (1, 0) and choice.names == ("restored", "noise")
    first = choose(leaves, outputs=("a", "b"))
    assert first.places == (0, 1) and "output 0, of 2 that can be; --picture" in first.notes[0]
    with pytest.raises(UserError, match="returns 2 tensors, but there are 3 --output names"):
        choose(leaves, outputs=("a", "b", "c"))
