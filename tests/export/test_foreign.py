"""Other people's networks: recurrent, several inputs and outputs, size rules; and every refusal."""

import numpy as np
import pytest
import torch
from torch import nn

from spair.export import ForeignInterface, export_foreign
from spair.export.foreign import foreign_spec, load_foreign, measure_reach
from spair.network import CheckpointError
from spair.runtime import Bundle, Restorer, UserError
from spair.runtime.onnx_backend import OnnxGraph

SOURCE = """
import torch
from torch import nn

class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(6, 3, 3, padding=1)
    def forward(self, image):
        state = image
        for _ in range(3):
            state = torch.sigmoid(self.conv(torch.cat((image, state), 1)))
        return state

class TwoInTwoOut(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1, stride=2)
    def forward(self, image, mask):
        x = nn.functional.interpolate(self.conv(torch.cat((image, mask), 1)), scale_factor=2.0)
        return {"picture": x[:, :3], "rest": [x[:, 3:]]}

def recurrent(): return Recurrent()
def two(): return TwoInTwoOut()
def number(): return 3
def broken(): raise RuntimeError("no weights for you")
"""
NAMES = ForeignInterface(inputs=(("image", 3), ("mask", 1)), outputs=("restored",), multiple=2)


@pytest.fixture
def factory(tmp_path, monkeypatch):
    """Writes the networks' module into the current folder; returns (name -> factory, name -> checkpoint path)."""
    monkeypatch.chdir(tmp_path)
    name = f"networks_{abs(hash(tmp_path)) % 10**8}"  # a module name of its own: imports are cached
    (tmp_path / f"{name}.py").write_text(SOURCE)

    def make(function: str):
        checkpoint = tmp_path / f"{function}.pth"
        torch.manual_seed(0)
        layer = nn.Conv2d(6, 3, 3) if function == "recurrent" else nn.Conv2d(4, 4, 3)
        torch.save({f"conv.{key}": value for key, value in layer.state_dict().items()}, checkpoint)
        return f"{name}:{function}", checkpoint

    return make


def test_a_recurrent_network_becomes_a_bundle_that_restores(factory, tmp_path):
    text, checkpoint = factory("recurrent")
    report = export_foreign(checkpoint, text, tmp_path / "r.spair")
    assert report["parity"]["passed"]
    assert report["operators"] == {}
    image = np.random.default_rng(0).random((13, 21, 3), np.float32)
    with torch.no_grad():
        expected = load_foreign(text, checkpoint)(torch.from_numpy(image).permute(2, 0, 1)[None])
    with Restorer.open(tmp_path / "r.spair", threads=1) as restorer:
        result = restorer(image)
    np.testing.assert_allclose(result.image, expected[0].permute(1, 2, 0).numpy(), atol=1e-5)


def test_several_inputs_and_nested_outputs_keep_their_order_and_names(factory, tmp_path):
    text, checkpoint = factory("two")
    export_foreign(checkpoint, text, tmp_path / "t.spair", interface=NAMES)
    bundle = Bundle.open(tmp_path / "t.spair")
    assert bundle.manifest.outputs == ("restored", "output_1")
    feeds = {
        "image": np.random.default_rng(0).random((2, 3, 7, 5), np.float32),
        "mask": np.random.default_rng(1).random((2, 1, 7, 5), np.float32),
    }
    padded = [
        torch.from_numpy(np.pad(value, ((0, 0), (0, 0), (0, 1), (0, 1)), mode="edge")) for value in feeds.values()
    ]
    with torch.no_grad():
        expected = load_foreign(text, checkpoint)(*padded)
    with OnnxGraph(bundle.graph("fp32", "model"), threads=1) as graph:
        got = graph.run(feeds)
    np.testing.assert_allclose(got["restored"], expected["picture"][..., :7, :5].numpy(), atol=1e-5)
    np.testing.assert_allclose(got["output_1"], expected["rest"][0][..., :7, :5].numpy(), atol=1e-5)


@pytest.mark.parametrize("radius", [0, 2, 7])
def test_reach_is_how_far_a_change_is_seen(radius):
    convolution = nn.Conv2d(3, 3, 2 * radius + 1, padding=radius)
    nn.init.constant_(convolution.weight, 0.1)
    assert measure_reach(convolution, ForeignInterface()) == radius


def refuse(message: str, kind: type[Exception], call, *args, **options) -> None:
    with pytest.raises(kind, match=message) as caught:
        call(*args, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no_colon", "not of the form package.module:function"),
        ("absent_module_xyz:f", "does not import: No module named 'absent_module_xyz'"),
        ("NAME:absent", "has no 'absent'"),
        ("NAME:number", "returned int, expected a torch.nn.Module"),
        ("NAME:broken", "failed: RuntimeError: no weights for you"),
    ],
)
def test_a_factory_that_cannot_be_used_is_one_sentence(factory, text, message):
    known, checkpoint = factory("recurrent")
    refuse(message, UserError, load_foreign, text.replace("NAME", known.partition(":")[0]), checkpoint)


def test_keys_that_do_not_match_are_named(factory):
    text, _ = factory("recurrent")
    _, other = factory("two")
    refuse(r"1 keys of another shape|2 keys of another shape \(conv.weight", CheckpointError, load_foreign, text, other)
    torch.save({"body.weight": torch.zeros(1)}, other)
    message = r"2 keys missing \(conv.weight, conv.bias\); 1 keys unexpected \(body.weight\)"
    refuse(message, CheckpointError, load_foreign, text, other)


def test_wrong_inputs_say_how_to_describe_them(factory):
    text, checkpoint = factory("two")
    module = load_foreign(text, checkpoint)
    refuse("describe its inputs with --input NAME:CHANNELS", UserError, foreign_spec, module, ForeignInterface())


def test_too_many_output_names_are_refused(factory):
    module = load_foreign(*factory("recurrent"))
    refuse(
        "returns 1 tensors, but there are 2 --output names",
        UserError,
        foreign_spec,
        module,
        ForeignInterface(outputs=("a", "b")),
    )


def test_an_interface_needs_distinct_names_and_positive_numbers():
    refuse("distinct names", UserError, ForeignInterface, (("x", 3), ("x", 1)))
    refuse("1 or more", UserError, ForeignInterface, multiple=0)


@pytest.mark.data
def test_a_strict_load_of_another_published_network_names_the_keys(data_dir):
    factory = "benchmarks.peers.prenet:prenet"
    refuse("keys missing", CheckpointError, load_foreign, factory, data_dir / "checkpoints" / "sapnet.pth")
