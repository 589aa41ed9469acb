"""Shapes of engines: every input, and room for pieces with their halos."""

from __future__ import annotations

import onnx
import pytest

from spair.export.engines.options import EngineOptions
from spair.export.engines.profiles import make_profile
from spair.runtime import Bundle
from spair.runtime.errors import UserError
from spair.runtime.tiling.spec import SpairNetwork

OPTIONS = EngineOptions((641, 360), (1921, 1080), batch=2)


@pytest.fixture(scope="module")
def opened(tiny_bundle) -> Bundle:
    return Bundle.open(tiny_bundle)


def profile_of(bundle: Bundle, part: str, options: EngineOptions = OPTIONS) -> dict[str, list[list[int]]]:
    model = onnx.load(bundle.graph("fp32", part))
    assert isinstance(bundle.manifest.network, SpairNetwork)
    return dict(make_profile(model, part, bundle.manifest.network, options))


def test_the_whole_network_takes_any_picture_up_to_the_largest(opened):
    assert profile_of(opened, "model") == {"image": [[1, 1, 1, 3], [1, 360, 641, 3], [2, 1080, 1921, 3]]}


def test_the_served_network_takes_planes(opened):
    model = onnx.load(opened.graph("fp32", "model"))
    profile = make_profile(model, "served", opened.manifest.network, OPTIONS)
    assert profile == {"image": [[1, 3, 1, 1], [1, 3, 360, 641], [2, 3, 1080, 1921]]}


def test_net_l_takes_multiples_one_at_a_time(opened):
    assert profile_of(opened, "net_l") == {"image": [[1, 3, 8, 8], [1, 3, 360, 648], [1, 3, 1080, 1928]]}


def test_net_r_has_shapes_for_every_input(opened):
    profile = profile_of(opened, "net_r")
    assert set(profile) == {value.name for value in onnx.load(opened.graph("fp32", "net_r")).graph.input}
    channels = opened.manifest.network.channels
    assert profile["mask"] == [[1, 1, 8, 8], [1, 1, 360, 648], [1, 1, 1080, 1928]]
    assert profile["f2"] == [
        [1, channels[2], side // 4, width // 4] for side, width in ((8, 8), (360, 648), (1080, 1928))
    ]
    for name, shape in (
        ("keys", [1, channels[2], 16, 16]),
        ("key_mask", [1, 1, 16, 16]),
        ("scale1", [1, channels[1], 1, 1]),
    ):
        assert profile[name] == [shape] * 3


def test_small_pictures_leave_room_for_a_piece_with_both_halos(opened):
    network = opened.manifest.network
    assert (network.halo_l, network.halo_r, network.multiple) == (80, 48, 8)
    assert profile_of(opened, "net_l", EngineOptions((16, 16), (64, 600)))["image"] == [
        [1, 3, 8, 8],
        [1, 3, 16, 16],
        [1, 3, 600, 2 * (80 + 48) + 256],
    ]


def test_a_size_of_another_name_is_refused(opened):
    model = onnx.load(opened.graph("fp32", "net_l"))
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_param = "columns"
    with pytest.raises(UserError, match="the input image has a free size 'columns', expected batch, height or width"):
        make_profile(model, "net_l", opened.manifest.network, OPTIONS)
