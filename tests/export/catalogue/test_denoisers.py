"""FFDNet and DnCNN compute their definitions, and their sizes are those of the published files."""

import pytest
import torch

from spair.export.catalogue.denoisers import DNCNN, FFDNET, DnCNN, FFDNet


@pytest.mark.parametrize(
    ("module", "parameters"),
    [
        (lambda: FFDNet(3, 96, 12), 13 * 96 * 9 + 96 + 10 * (96 * 96 * 9 + 96) + 96 * 12 * 9 + 12),
        (lambda: FFDNet(1, 64, 15), 5 * 64 * 9 + 64 + 13 * (64 * 64 * 9 + 64) + 64 * 4 * 9 + 4),
        (lambda: DnCNN(1, 64, 17), 64 * 9 + 15 * (64 * 64 * 9 + 2 * 64) + 64 * 9),
    ],
    ids=["FFDNet", "FFDNet gray", "DnCNN"],
)
def test_sizes_are_read_from_the_weights(module, parameters):
    state = module().state_dict()
    (architecture,) = (one for one in (FFDNET, DNCNN) if one.detect(state))
    known = architecture.build(state)
    assert known.parameters == parameters
    assert known.module.state_dict().keys() == state.keys()
    assert known.noise == (architecture is FFDNET)


def test_ffdnet_puts_the_noise_beside_the_four_pixels_of_each_place():
    module = FFDNet(1, 8, 3)
    image, noise = torch.rand(1, 1, 4, 6), torch.full((1, 1, 4, 6), 0.3)
    pixels = torch.stack([image[0, 0, row::2, column::2] for row in (0, 1) for column in (0, 1)])[None]
    with torch.no_grad():
        inside = module.model(torch.cat((pixels, torch.full((1, 1, 2, 3), 0.3)), 1))
        restored = module(image, noise)
    for place, (row, column) in enumerate((row, column) for row in (0, 1) for column in (0, 1)):
        assert torch.equal(restored[0, 0, row::2, column::2], inside[0, place])


def test_dncnn_subtracts_what_it_finds():
    module = DnCNN(3, 8, 4).eval()
    image = torch.rand(1, 3, 5, 7)
    with torch.no_grad():
        assert torch.equal(module(image), image - module.dncnn(image))


def test_older_files_without_the_counters_of_normalisation_fit():
    state = DnCNN(3, 8, 5).state_dict()
    older = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    assert len(older) < len(state) and DNCNN.detect(older)
    assert DNCNN.build(older).channels == 3


def test_a_network_with_as_many_inputs_as_outputs_is_no_ffdnet():
    state = FFDNet(3, 8, 3).state_dict()
    assert FFDNET.detect(state)
    assert not FFDNET.detect({**state, "model.0.weight": torch.ones(8, 12, 3, 3)})
