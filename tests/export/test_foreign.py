"""Other people's networks: recurrent, several inputs and outputs, size rules; and every refusal."""

import numpy as np
import pytest
import torch
from torch import nn

from spair.export import foreign
from spair.export.exporter import export_foreign
from spair.export.foreign import ForeignInterface, foreign_spec, load_foreign, measure_reach
from spair.export.parity import check as parity
from spair.network import CheckpointError
from spair.runtime import Bundle, Restorer, UserError
from spair.runtime.backends.onnxruntime import OnnxGraph

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

class Reflecting(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 7, padding=3, padding_mode="reflect")
    def forward(self, image):
        return image + self.conv(image)

class Gray(nn.Module):
    # One input channel, and an output that happens to be called mask and is none.
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
    def forward(self, image):
        x = self.conv(image)
        return x[:, :1], x[:, 1:]

def reflecting(): return Reflecting()
def gray(): return Gray()
def recurrent(): return Recurrent()
def two(): return TwoInTwoOut()
def number(): return 3
def broken(): raise RuntimeError("no weights for you")
def leaves(): raise SystemExit(0)
"""
LAYERS = {"recurrent": (6, 3, 3), "two": (4, 4, 3), "reflecting": (3, 3, 7), "gray": (1, 2, 3)}
"""In and out channels and kernel of each network's convolution."""
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
        layer = nn.Conv2d(*LAYERS[function])
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


def test_reflection_padding_works_with_the_smallest_size_given_and_smaller_pictures_are_padded(factory, tmp_path):
    text, checkpoint = factory("reflecting")
    interface = ForeignInterface(min_size=4)
    assert export_foreign(checkpoint, text, tmp_path / "r.spair", interface=interface)["parity"]["passed"]
    bundle = Bundle.open(tmp_path / "r.spair")
    assert bundle.manifest.raw["network"]["min_size"] == 4
    module = load_foreign(text, checkpoint)
    for size in ((1, 1), (2, 9), (5, 5)):
        image = np.random.default_rng(0).random((*size, 3), np.float32)
        missing = [(0, max(0, 4 - side)) for side in size]
        padded = torch.from_numpy(np.pad(image, (*missing, (0, 0)), mode="edge")).permute(2, 0, 1)[None]
        with torch.no_grad():
            expected = module(padded)[0, :, : size[0], : size[1]].permute(1, 2, 0).numpy()
        with Restorer.open(bundle.path, threads=1) as restorer:
            np.testing.assert_allclose(restorer(image).image, expected.clip(0, 1), atol=1e-5)


def test_a_gray_network_with_an_output_called_mask_is_compared_as_any_other(factory, tmp_path, monkeypatch):
    text, checkpoint = factory("gray")
    interface = ForeignInterface((("image", 1),), ("restored", "mask"))
    report = export_foreign(checkpoint, text, tmp_path / "g.spair", interface=interface)["parity"]["modules"]["model"]
    assert report["passed"] and report["wrong_mask"] == 0
    assert report["clean"]["max_abs"] < 1e-6 and report["cases"] == 10  # on some processors it is 0
    with pytest.raises(UserError, match="takes a picture of 1 channels; only networks that take RGB"):
        Restorer.open(tmp_path / "g.spair")
    # That output's errors count: a graph that adds 1e-3 to it fails.
    spec = foreign_spec(load_foreign(text, checkpoint), interface)
    with torch.no_grad():
        spec.module.module.conv.bias[1] += 1e-3
    file = Bundle.open(tmp_path / "g.spair").graph("fp32", "model")
    assert not parity.check_parity({"model": spec}, {"model": file}, None, lambda part: None)["passed"]


@pytest.mark.parametrize("radius", [0, 2, 7])
def test_reach_is_how_far_a_change_is_seen(radius):
    convolution = nn.Conv2d(3, 3, 2 * radius + 1, padding=radius)
    nn.init.constant_(convolution.weight, 0.1)
    assert measure_reach(convolution, ForeignInterface()) == radius


@pytest.mark.parametrize(("multiple", "min_size"), [(256, 1), (1, 300), (200, 1)])
def test_reach_is_measured_on_a_picture_large_enough(multiple, min_size):
    seen = []

    class Picky(nn.Module):
        def forward(self, image):
            seen.append(image.shape[2:])
            return image

    assert measure_reach(Picky(), ForeignInterface(multiple=multiple, min_size=min_size)) == 0
    assert all(side >= max(192, min_size) and side % multiple == 0 for size in seen for side in size)


class Shaped(nn.Module):
    """Returns the picture and something else made of it."""

    def __init__(self, second=None, first=None):
        super().__init__()
        self.first, self.second = first, second

    def forward(self, image):
        if self.first is not None:
            return self.first(image)
        return image, self.second(image)


def mean_of(image):
    return image.mean((2, 3))


def doubled(image):
    return nn.functional.interpolate(image, scale_factor=2.0)


def halved(image):
    return nn.functional.max_pool2d(image, 2)


@pytest.mark.parametrize("change", [doubled, halved, mean_of, torch.sum])
def test_a_restored_picture_of_another_size_is_refused(change):
    message = r"output 'restored' of Shaped has the shape \S+ for pictures of 8x9, expected \[N,C,H,W\] of the pictures"
    refuse(message, UserError, foreign_spec, Shaped(first=change), ForeignInterface())


@pytest.mark.parametrize("interface", [ForeignInterface(multiple=2), ForeignInterface(min_size=2)], ids=repr)
@pytest.mark.parametrize("change", [mean_of, halved])
def test_where_the_graph_pads_every_output_must_be_a_picture(change, interface):
    module = Shaped(change)
    foreign_spec(Shaped(mean_of), ForeignInterface())
    message = "output 'output_1' of Shaped .* with --multiple or --min-size all"
    refuse(message, UserError, foreign_spec, module, interface)


@pytest.mark.parametrize(("given", "hint"), [(1, "4 is enough"), (2, "4 is enough"), (3, "6 is enough")])
def test_a_network_that_fails_on_the_smallest_picture_is_told_of_min_size(given, hint):
    padded = nn.Conv2d(3, 3, 7, padding=3, padding_mode="reflect")
    message = rf"Conv2d fails on pictures of {given}x{given}: .*--min-size \({hint}\)"
    refuse(message, UserError, foreign_spec, padded, ForeignInterface(min_size=given))
    assert foreign_spec(padded, ForeignInterface(min_size=4)).min_size == 4


def test_what_somebodys_forward_raises_is_one_sentence():
    def fail(image):
        assert image.shape[2] % 32 == 0, "give me multiples of 32"

    refuse("give me multiples of 32; .*--multiple", UserError, foreign_spec, Shaped(fail), ForeignInterface())


@pytest.mark.parametrize("multiple", [1, 8, 100, 256])
def test_samples_are_multiples_and_differ_in_height_and_width(multiple):
    spec = foreign_spec(nn.Identity(), ForeignInterface(multiple=multiple))
    height, width = spec.inputs["image"][0].shape[2:]
    assert height % multiple == width % multiple == 0
    assert multiple < height < width <= max(9, 3 * multiple, 72)


def test_a_network_whose_own_names_begin_like_a_wrapper_loads(factory, tmp_path, monkeypatch):
    module = nn.Module()
    module.model = nn.Conv2d(3, 3, 3)
    torch.save(module.state_dict(), tmp_path / "own.pth")
    monkeypatch.setattr(foreign, "_build", lambda factory: module)
    assert load_foreign("a:b", tmp_path / "own.pth") is module
    torch.save({f"module.{key}": value for key, value in module.state_dict().items()}, tmp_path / "wrapped.pth")
    assert load_foreign("a:b", tmp_path / "wrapped.pth") is module
    torch.save({"model.weight": module.model.weight.detach()}, tmp_path / "less.pth")
    message = r"less.pth does not fit Module: 1 keys missing \(model.bias\); give"
    refuse(message, CheckpointError, load_foreign, "a:b", tmp_path / "less.pth")


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
        ("..NAME:recurrent", "does not import: TypeError"),
        ("NAME:leaves", "failed: SystemExit: 0"),
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
    message = r"2 keys of another shape \(conv.weight \(4, 4, 3, 3\) instead of \(3, 6, 3, 3\), conv.bias"
    refuse(message, CheckpointError, load_foreign, text, other)
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
    refuse("1 or more", UserError, ForeignInterface, min_size=0)
    refuse("1 or more", UserError, ForeignInterface, (("x", 0),))


@pytest.mark.data
def test_a_strict_load_of_another_published_network_names_the_keys(data_dir):
    factory = "benchmarks.peers.prenet:prenet"
    refuse("keys missing", CheckpointError, load_foreign, factory, data_dir / "checkpoints" / "sapnet.pth")


def test_a_module_that_fails_while_it_is_imported_is_one_sentence(tmp_path, monkeypatch, factory):
    _, checkpoint = factory("recurrent")
    for name, text in (("badly_written_xyz", "def f(:"), ("leaves_early_xyz", "raise SystemExit(0)")):
        (tmp_path / f"{name}.py").write_text(text)
        refuse("does not import: (SyntaxError|SystemExit)", UserError, load_foreign, f"{name}:f", checkpoint)
