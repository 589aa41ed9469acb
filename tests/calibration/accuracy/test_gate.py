"""The gate: what counts as a loss, what as a changed clean pixel, and which modes are looked at."""

import contextlib
import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from spair.calibration.accuracy import gate as gate_module
from spair.calibration.accuracy.gate import ModeLosses, Verdict, as_unit, check_gate
from spair.calibration.accuracy.measures import estimate_loss, mean_square, measure_psnr
from spair.calibration.options import Options
from spair.calibration.progress import silent
from spair.calibration.statistics.pictures import CalibrationPicture
from spair.calibration.variants import Built
from spair.runtime import GateError
from spair.runtime.tiling.spec import ForeignNetwork, SpairNetwork

SPEC = SpairNetwork(8, 8)
OPTIONS = Options("int8", tile=32)


class MadeUpNetwork:
    """Network whose graphs are functions of a picture; each gives the picture and the mask of its mode."""

    def __init__(self, spec=SPEC) -> None:
        self.spec = spec
        self.parts = ("net_l", "net_r") if isinstance(spec, SpairNetwork) else ("model",)
        self.models = dict.fromkeys(self.parts, restore)
        self.open = 0

    @contextlib.contextmanager
    def opened(self, models):
        self.open += 1
        try:
            yield dict(models)
        finally:
            self.open -= 1

    def restorer(self, graphs):
        graph = graphs.get("net_r_packed", graphs[self.parts[-1]])

        def run(pixels):
            assert self.open
            image, mask = graph(pixels)
            return SimpleNamespace(image=image, mask=mask if isinstance(self.spec, SpairNetwork) else None)

        return run


def find_mask(pixels: np.ndarray) -> np.ndarray:
    return pixels[..., 0] > 0.5


def restore(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Darken distorted pixels."""
    mask = find_mask(pixels)
    return np.where(mask[..., None], pixels * np.float32(0.5), pixels), mask


def with_change(change):
    """Return a graph whose picture is changed after the restoration."""

    def run(pixels):
        image, mask = restore(pixels)
        return change(image.copy(), mask.copy())

    return run


class WholeGraph:
    """The one graph of both networks, [N,3,H,W] to [N,3,H,W] and [N,1,H,W]."""

    def __init__(self, run=restore) -> None:
        self._run = run

    def run(self, feeds):
        image, mask = self._run(feeds["image"][0].transpose(1, 2, 0))
        return {"restored": image.transpose(2, 0, 1)[None], "mask": mask[None, None].astype(np.float32)}


def build(**changed) -> Built:
    """Make the graphs of every mode, unchanged unless a change is given by mode."""
    models = {
        "net_l": restore,
        "net_r": changed.get("dense", restore),
        "net_r_packed": changed.get("packed", restore),
        "model": changed.get("whole", WholeGraph()),
    }
    return Built(models, dict.fromkeys(("net_l", "net_r"), changed.get("rounded", restore)), {})


def make_picture(name="a", size=(5, 7), target=True) -> CalibrationPicture:
    random = np.random.default_rng(len(name) + ord(name[0]))
    pixels = random.random((*size, 3), dtype=np.float32)
    clean = np.clip(restore(pixels)[0] + random.normal(0, 0.05, pixels.shape), 0, 1).astype(np.float32)
    return CalibrationPicture(name, pixels, clean if target else None)


def check(built, pictures=None, network=None, options=OPTIONS) -> Verdict:
    return check_gate(network or MadeUpNetwork(), built, pictures or [make_picture()], options, silent)


def touch_clean(image, mask):
    """Change two values of one clean pixel and one of another by the smallest step."""
    (first, *_, last) = np.argwhere(~mask)
    image[tuple(first)][:2] = np.nextafter(image[tuple(first)][:2], np.float32(2))
    image[tuple(last)][2] = np.nextafter(image[tuple(last)][2], np.float32(2))
    return image, mask


# Modes


def test_graphs_that_do_what_fp32_does_lose_nothing_in_every_mode():
    pictures = [make_picture("a"), make_picture("b", (1, 1)), make_picture("c", target=False)]
    verdict = check(build(), pictures)
    assert set(verdict.modes) == {"rounded", "dense", "packed", "whole"}
    assert verdict.delta == 0.0 and verdict.clean_changed == 0 and verdict.passed(0.0)
    assert verdict.names == ["a", "b", "c"]
    assert verdict.densities == [float(find_mask(picture.pixels).mean()) for picture in pictures]
    assert all(losses.mask_changed == [0.0] * 3 for losses in verdict.modes.values())


@pytest.mark.parametrize("mode", ["rounded", "dense", "packed", "whole"])
def test_the_graph_of_each_mode_is_looked_at(mode):
    worse = with_change(lambda image, mask: (np.where(mask[..., None], image * np.float32(0.9), image), mask))
    verdict = check(build(**{mode: WholeGraph(worse) if mode == "whole" else worse}))
    deltas = {name: losses.delta for name, losses in verdict.modes.items()}
    assert deltas.pop(mode) == verdict.delta < -0.1
    assert set(deltas.values()) == {0.0}


def test_a_diagnosis_looks_at_the_twins_alone():
    verdict = check(build(), options=dataclasses.replace(OPTIONS, quantize="weights"))
    assert set(verdict.modes) == {"rounded"}


def test_a_network_without_masks_is_distorted_everywhere_and_has_no_clean_pixel():
    network = MadeUpNetwork(ForeignNetwork())
    changed = with_change(touch_clean)
    verdict = check(Built({"model": changed}, {"model": changed}, {}), network=network)
    assert set(verdict.modes) == {"rounded", "dense"}
    assert verdict.densities == [1.0] and verdict.clean_changed == 0
    assert verdict.to_json()["dense"]["mask_changed"] is None


# Clean pixels


@pytest.mark.parametrize("mode", ["rounded", "dense", "packed", "whole"])
def test_a_clean_pixel_that_changed_in_one_bit_fails_any_gate(mode):
    changed = with_change(touch_clean)
    verdict = check(build(**{mode: WholeGraph(changed) if mode == "whole" else changed}))
    assert verdict.modes[mode].clean_changed == verdict.clean_changed == 2
    assert verdict.delta > -1e-3 and not verdict.passed(99.0)


def test_clean_pixels_may_change_where_the_network_says_so():
    network = MadeUpNetwork(dataclasses.replace(SPEC, gate_output=False))
    verdict = check(build(dense=with_change(touch_clean)), network=network)
    assert verdict.clean_changed == 0 and verdict.passed(0.01)


def test_a_mask_that_differs_is_counted_by_its_pixels():
    def grow(image, mask):
        mask[:2, 0] = ~mask[:2, 0]
        return image, mask

    picture = make_picture(size=(5, 4))
    verdict = check(build(packed=with_change(grow)), [picture, make_picture("b", (5, 4))])
    assert verdict.modes["packed"].mask_changed == [0.1, 0.1]
    assert verdict.modes["dense"].mask_changed == [0.0, 0.0]
    assert verdict.to_json()["packed"]["mask_changed"] == pytest.approx(0.1)


# Losses


def darken(image, mask):
    return np.where(mask[..., None], image * np.float32([0.9, 1.0, 0.95]), image), mask


def test_with_a_clean_picture_the_loss_is_the_change_of_its_psnr():
    picture = make_picture()
    verdict = check(build(dense=with_change(darken)), [picture])
    exact, mask = restore(picture.pixels)
    before, after = (measure_psnr(image, picture.target) for image in (exact, darken(exact, mask)[0]))
    losses = verdict.modes["dense"]
    assert losses.luma_db == [after[0] - before[0]] and losses.rgb_db == [after[1] - before[1]]
    assert losses.luma_db != losses.rgb_db


def test_without_one_the_loss_is_estimated_from_the_distance():
    picture = make_picture(target=False)
    verdict = check(build(dense=with_change(darken)), [picture])
    exact, mask = restore(picture.pixels)
    expected = estimate_loss(mean_square(darken(exact, mask)[0], exact), 10.0 ** (-OPTIONS.assumed_psnr / 10))
    assert verdict.modes["dense"].luma_db == verdict.modes["dense"].rgb_db == [-expected]
    assert expected > 0.1


def test_values_beyond_the_range_are_no_distance():
    image = np.float32([-0.5, 0.0, 0.25, 1.0, 1.5])
    assert as_unit(image).tolist() == [0.0, 0.0, 0.25, 1.0, 1.0]
    bright = CalibrationPicture("bright", np.ones((2, 2, 3), np.float32))
    network = MadeUpNetwork(dataclasses.replace(SPEC, gate_output=False))
    network.models = dict.fromkeys(network.parts, lambda pixels: (2 * pixels, find_mask(pixels)))
    brighter = build(dense=lambda pixels: (3 * pixels, find_mask(pixels)))
    assert check(brighter, [bright], network).modes["dense"].delta == 0.0


def test_a_mode_is_judged_by_the_worse_of_luma_and_rgb():
    losses = ModeLosses([-0.1, 0.3], [0.5, -0.5], mask_changed=[0.0, 0.5])
    assert losses.delta == pytest.approx(0.0) and ModeLosses([0.3], [-0.2]).delta == -0.2
    entry = losses.to_json(["a", "b"])
    assert entry["worst"] == {"name": "b", "psnr_delta_db": -0.5}
    assert entry["psnr_y_delta_db"] == pytest.approx(0.1) and entry["psnr_rgb_delta_db"] == 0.0
    assert entry["mask_changed"] == 0.25


def make_verdict(**modes: list[float]) -> Verdict:
    return Verdict({name: ModeLosses(values, values) for name, values in modes.items()}, ["a", "b", "c"], [0.1] * 3)


def test_the_worst_mode_decides():
    verdict = make_verdict(dense=[-0.01, -0.02, -0.03], packed=[-0.04, -0.05, -0.06])
    assert verdict.delta == pytest.approx(-0.05)
    assert verdict.passed(0.0501) and not verdict.passed(0.0499)
    assert make_verdict(dense=[-0.25, -0.25, -0.25]).passed(0.25), "a loss of exactly the gate"
    verdict.modes["dense"].clean_changed = 1
    assert not verdict.passed(1.0)


def test_a_loss_that_is_no_number_does_not_pass():
    assert not make_verdict(dense=[0.0, float("nan"), 0.0]).passed(1.0)


def test_pictures_that_gave_no_tile_are_judged_apart():
    verdict = make_verdict(dense=[-0.5, -0.1, -0.3], packed=[-0.5, -0.2, -0.1])
    assert verdict.unseen({"a"}) == {"images": 2, "psnr_delta_db": pytest.approx(-0.2)}
    assert verdict.unseen({"a", "b"}) == {"images": 1, "psnr_delta_db": -0.3}
    assert verdict.unseen(set())["images"] == 3
    assert verdict.unseen({"a", "b", "c", "d"}) is None


def test_the_gate_holds_over_pictures_that_gave_no_tile_as_well():
    verdict = make_verdict(dense=[0.3, 0.2, -0.2])
    assert verdict.passed(0.1), "gains of two make up for the loss of the third"
    assert not verdict.passed(0.1, {"a", "b"}) and verdict.passed(0.2, {"a", "b"}) and verdict.passed(0.1, {"a", "c"})


# Values that are not finite


def overflow(pixels):
    raise GateError("the network gave values that are not finite")


def test_the_layer_of_a_twin_that_overflows_is_looked_for_on_its_picture(monkeypatch):
    looked = []
    monkeypatch.setattr(gate_module, "check_finite", lambda *arguments: looked.append(arguments))
    built, picture, network = build(rounded=overflow), make_picture(), MadeUpNetwork()
    with pytest.raises(GateError, match="not finite"):
        check(built, [picture], network)
    assert looked == [(network, built.twins, [picture])] and network.open == 0


def test_an_fp32_network_that_overflows_is_observed(monkeypatch):
    def observe(network, tiles, options, progress):
        raise ValueError(f"the layer on {tiles[0].name}")

    monkeypatch.setattr(gate_module, "observe", observe)
    network = MadeUpNetwork()
    network.models = dict.fromkeys(network.parts, overflow)
    with pytest.raises(ValueError, match="the layer on a"):
        check(build(), network=network)
    assert network.open == 0


def test_a_whole_graph_that_overflows_is_refused(monkeypatch):
    monkeypatch.setattr(gate_module, "check_finite", lambda *arguments: None)
    infinite = with_change(lambda image, mask: (np.where(mask[..., None], np.inf, image), mask))
    with pytest.raises(GateError, match="the whole graph gives values that are not finite"):
        check(build(whole=WholeGraph(infinite)))
