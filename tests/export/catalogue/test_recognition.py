"""Networks are recognised by their weights, in any trainer's file, and nothing else is."""

import pickle

import pytest
import torch

from spair.export.catalogue import recognise_network
from spair.export.catalogue.library import has_library
from spair.export.catalogue.recognition import OWN, list_architectures
from spair.network import CheckpointError
from tests.export.catalogue.instances import INSTANCES

OWN_NAMES = {architecture.name for architecture in OWN} | {"PReNet_r"}
NETWORKS = [
    pytest.param(
        instance,
        id=f"{place}-{instance.name}",
        marks=pytest.mark.skipif(
            instance.name not in OWN_NAMES and not has_library(), reason="spandrel is not installed: make setup"
        ),
    )
    for place, instance in enumerate(INSTANCES)
]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("instance", NETWORKS)
def test_a_network_is_recognised_and_computes_what_its_weights_say(instance, tmp_path):
    state = instance.make_state(**instance.tiny)
    known, choice = recognise_network(instance.save(tmp_path / "a.pth", **instance.tiny))
    assert (known.name, choice.prefix, known.module.training) == (instance.name, "params.", False)
    numbers = sum(value.numel() for value in state.values() if value.is_floating_point())
    buffers = sum(value.numel() for value in known.module.buffers() if value.is_floating_point())
    assert known.parameters == numbers - buffers
    side = max(known.multiple, known.min_size, 16)
    torch.manual_seed(0)
    image = torch.rand(1, known.channels, side, 2 * side)
    given = (image, torch.full_like(image[:, :1], 0.1)) if known.noise else (image,)
    module = instance.make(**instance.tiny).eval()
    own = instance.make_state(**instance.tiny)
    module.load_state_dict({name: own[instance.rename(name)] for name in module.state_dict()})
    direct = (torch.cat(given, 1),) if known.noise and known.source != "spair" else given
    with torch.no_grad():
        restored, expected = known.module(*given), module(*direct)
    assert restored.shape[2:] == (known.scale * side, 2 * known.scale * side)
    assert torch.equal(restored, expected) and restored.std() > 0.01


@pytest.fixture
def ffdnet():
    """The weights of a small FFDNet."""
    instance = next(instance for instance in INSTANCES if instance.name == "FFDNet")
    return instance.make_state(**instance.tiny)


@pytest.mark.parametrize(
    ("content", "prefix"),
    [
        (lambda state: state, ""),
        (
            lambda state: {"state_dict": {f"module.{name}": value for name, value in state.items()}},
            "state_dict.module.",
        ),
        (lambda state: {"net_d": {"a.b": torch.ones(1), "a.c": torch.ones(1)}, "net_g": state, "step": 4}, "net_g."),
        (lambda state: {**state, "epoch": torch.tensor(3)}, ""),
    ],
    ids=["plain", "wrapped", "adversarial", "counter"],
)
def test_weights_are_found_where_trainers_put_them(ffdnet, tmp_path, content, prefix):
    torch.save(content(ffdnet), tmp_path / "a.pth")
    known, choice = recognise_network(tmp_path / "a.pth")
    assert (known.name, choice.prefix) == ("FFDNet", prefix)


def test_averaged_weights_are_taken_unless_others_are_asked_for(ffdnet, tmp_path):
    torch.save(
        {"params": {name: 2 * value for name, value in ffdnet.items()}, "params_ema": ffdnet}, tmp_path / "a.pth"
    )
    first = "model.0.weight"
    known, choice = recognise_network(tmp_path / "a.pth")
    assert torch.equal(known.module.state_dict()[first], ffdnet[first]) and choice.others == ("params.",)
    known, choice = recognise_network(tmp_path / "a.pth", key="params")
    assert torch.equal(known.module.state_dict()[first], 2 * ffdnet[first]) and choice.prefix == "params."


def test_halves_become_float32(ffdnet, tmp_path):
    torch.save({name: value.half() for name, value in ffdnet.items()}, tmp_path / "a.pth")
    known, _ = recognise_network(tmp_path / "a.pth")
    assert {parameter.dtype for parameter in known.module.parameters()} == {torch.float32}


def refuse(state, file, message):
    torch.save(state, file)
    with pytest.raises(CheckpointError, match=message) as caught:
        recognise_network(file)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_fits_nothing_is_refused_with_the_nearest_and_the_factory(ffdnet, tmp_path):
    file = tmp_path / "a.pth"
    words = refuse({"some.weight": torch.ones(3), "other.weight": torch.ones(2)}, file, "keys begin some.weight, other")
    assert "and none of them has any of its names; for another network, give its definition with --factory" in words
    assert f"or of one of {len(list_architectures())} known networks" in words
    names = ("conv0.0.weight", "res_conv1.0.weight", "conv_i.0.weight", "conv_f.0.weight", "conv.0.weight")
    refuse({name: torch.ones(2, 2) for name in names}, file, "nearest is PReNet, whose weight conv_g.0.weight it lacks")
    refuse(
        {**ffdnet, "model.4.weight": torch.ones(8, 9, 3, 3)}, file, r"nearest is FFDNet, which it does not fit \(size"
    )
    ffdnet["model.2.bias"][1] = float("nan")
    refuse(ffdnet, file, "has NaN or infinite values in 1 tensors .first: model.2.bias")


@pytest.mark.parametrize("shape", [(2, 2), (3, 2, 3, 3)], ids=str)
def test_weights_that_only_have_the_names_of_a_network_are_refused(tmp_path, shape):
    for place, architecture in enumerate(list_architectures()):
        for names in (architecture.tells, architecture.tells[::2]):
            if len(names) > 1:
                refuse({name: torch.ones(shape) for name in names}, tmp_path / f"{place}.pth", "the nearest is ")


def test_shapes_that_make_a_bomb_are_refused_before_memory_is_taken(ffdnet, tmp_path):
    file = tmp_path / "a.pth"
    far = {**ffdnet, "model.99999999.weight": ffdnet["model.6.weight"], "model.99999999.bias": ffdnet["model.6.bias"]}
    refuse(
        far, file, "FFDNet, which it does not fit .its name model.99999999.weight has a larger number than 10 tensors"
    )
    wide = {**ffdnet, "model.0.weight": torch.ones(300_000, 13, 1, 1)}
    refuse(wide, file, "FFDNet, which it does not fit .its shapes ask for a tensor of 300000x13x3x3 numbers")
    empty = {**ffdnet, "model.0.weight": torch.ones(10**9, 13, 0, 0)}
    refuse(empty, file, "FFDNet, which it does not fit .its tensor model.0.weight is empty")


class Code:
    """Object that would run a command when it is read."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('run')",))


def test_code_in_a_file_is_never_run(ffdnet, tmp_path):
    torch.save({**ffdnet, "extra": Code()}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="is code and not executed"):
        recognise_network(tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps(Code()))
    with pytest.raises(CheckpointError, match="not a plain state dict"):
        recognise_network(tmp_path / "b.pth")


@pytest.mark.data
@pytest.mark.parametrize("file", ["PReNet6_Rain100L", "PReNet6_Rain100H", "PReNet6_r_Rain100L", "PReNet6_r_Rain100H"])
def test_published_checkpoints_are_recognised(data_dir, file):
    known, _ = recognise_network(data_dir / "checkpoints" / f"{file}.pth")
    expected = ("PReNet_r", 94_979) if "_r_" in file else ("PReNet", 168_963)
    assert (known.name, known.parameters) == expected
    assert known.notes[0] == "its weights do not say how many passes it makes; the published 6 are taken"


@pytest.mark.data
def test_published_checkpoints_of_other_networks_are_refused(data_dir):
    with pytest.raises(CheckpointError, match="the nearest is PReNet, which it does not fit .Missing key"):
        recognise_network(data_dir / "checkpoints" / "sapnet.pth")
    with pytest.raises(CheckpointError, match="none of them has any of its names; .* --factory"):
        recognise_network(data_dir / "checkpoints" / "a2net.pth")
