"""Laws of a stage.

They cover what learns, the mask in use, the arithmetic, the learning rate, and what stops the stage.
"""

import itertools
import math
import re
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from spair.network import Restored, load_checkpoint
from spair.training.config import Loss, Stage
from spair.training.data.corpus import load_corpus
from spair.training.data.patches import PatchDataset, Sample
from spair.training.loop.losses import mask_loss, ramp
from spair.training.loop.module import (
    BAD_BATCH,
    Losses,
    PatchModule,
    RestorationModule,
    rate,
    sum_known,
)
from spair.training.run import _precision, train
from spair.training.simulators import SIMULATORS

EACH = [("net_l", 2), ("net_r", 2), ("both", 2)]


def test_a_batch_keeps_the_types_of_its_samples(stage):
    _, batch = stage("both")
    assert [part.dtype for part in batch] == [torch.uint8, torch.uint8, torch.uint8, torch.float32]
    assert [part.shape for part in batch] == [(4, 3, 16, 16), (4, 3, 16, 16), (4, 1, 16, 16), (4,)]


@pytest.mark.parametrize(("name", "parts"), [("net_l", {"net_l"}), ("net_r", {"net_r"}), ("both", {"net_l", "net_r"})])
def test_a_stage_trains_its_network_and_no_other(stage, name, parts):
    module, batch = stage(name)
    losses = module.measure(batch, 1)
    assert (losses.image is None, losses.mask is None) == (name == "net_l", name == "net_r")
    sum_known(*losses).backward()
    learning = {key for key, value in module.model.named_parameters() if value.grad is not None and value.grad.any()}
    assert {key.split(".")[0] for key in learning} == parts
    optimizer = module.configure_optimizers()["optimizer"]
    count = sum(parameter.numel() for group in optimizer.param_groups for parameter in group["params"])
    assert count == sum(v.numel() for k, v in module.model.named_parameters() if k.split(".")[0] in parts)


def test_net_l_learns_the_expected_difference_where_the_file_says_so(stage):
    plain, batch = stage("net_l")
    soft, _ = stage("net_l", ("[schedule]", "[loss]\nmask_ramp = 200\n[schedule]"))
    batch.known[1] = 0.0
    truth = batch.mask.float()
    target = ramp(batch.degraded / 255.0, batch.clean / 255.0, truth, batch.known, 200.0)
    logits = plain.model.localize(batch.degraded / 255.0).logits
    assert plain.measure(batch, 0).mask.item() == pytest.approx(mask_loss(logits, truth, Loss()).item(), rel=1e-6)
    expected = mask_loss(logits, truth, Loss(), target).item()
    assert soft.measure(batch, 0).mask.item() == pytest.approx(expected, rel=1e-6)
    assert expected != pytest.approx(plain.measure(batch, 0).mask.item(), rel=1e-3)


@pytest.mark.parametrize("distance", ["l1", "mse"])
def test_a_stage_may_have_a_distance_of_its_own(stage, distance):
    def measure(of_the_run: str, *of_the_stage: tuple[str, str]) -> torch.Tensor:
        module, batch = stage("both", ("[schedule]", f'[loss]\nimage = "{of_the_run}"\n[schedule]'), *of_the_stage)
        return module.measure(batch, 0).image

    expected = measure(distance)
    assert measure("l1", ("warm_up = 1", f'warm_up = 1\nimage = "{distance}"')) == expected
    assert measure(distance, ("warm_up = 1", 'warm_up = 1\nimage = "charbonnier"')) != expected


def test_parts_that_a_stage_has_not_do_not_count():
    two, three = torch.tensor(2.0), torch.tensor(3.0)
    assert [sum_known(*parts).item() for parts in (Losses(two, None), Losses(None, three), (two, three))] == [2, 3, 5]


@pytest.mark.parametrize(("name", "factor"), [("net_l", 1.0), ("both", 0.25)])
def test_the_mask_weight_counts_where_both_networks_learn(stage, monkeypatch, name, factor):
    module, batch = stage(name, ("[schedule]", "[loss]\nmask_weight = 0.25\n[schedule]"))
    monkeypatch.setattr(module, "log", lambda *arguments, **options: None)
    monkeypatch.setattr(RestorationModule, "global_step", 0)
    module.trainer = L.Trainer(logger=False, accelerator="cpu", enable_checkpointing=False)
    losses = module.measure(batch, 0)
    expected = factor * losses.mask + (0.0 if losses.image is None else losses.image)
    assert module.training_step(batch, 0).item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("name", ["net_l", "net_r", "both"])
def test_the_memory_format_changes_no_loss(stage, name):
    values = []
    for chosen in ("true", "false"):
        module, batch = stage(name, ("[hardware]", f"[hardware]\nchannels_last = {chosen}"))
        module.on_fit_start()
        weight = module.model.net_r.out.weight
        assert weight.is_contiguous(memory_format=torch.channels_last) == (chosen == "true")
        values.append(sum_known(*module.measure(batch, 1)).item())
    # the same sums in another order: some ten convolutions of up to 600 products, each rounded to 6e-8
    assert values[0] == pytest.approx(values[1], rel=1e-5)


@pytest.mark.parametrize(
    ("name", "thresholds"), [("net_l", None), ("net_r", None), ("both", None), ("both", (0.2, 0.8))]
)
def test_the_losses_of_a_step_are_one_graph_to_compile(stage, name, thresholds):
    module, batch = stage(name, ("[hardware]", "[hardware]\npacked_below = 0"))
    module.stage = module.stage.model_copy(update={"thresholds": thresholds})
    compiled = torch.compile(module._compute, fullgraph=True, dynamic=False, backend="eager")
    torch._dynamo.reset()
    with torch._dynamo.config.patch(recompile_limit=1):  # one graph for all steps
        for step, turns in enumerate(itertools.product((False, True), repeat=2)):
            given = (*batch, torch.tensor(turns), module._draw_thresholds(step, batch.mask))
            assert compiled(*given) == module._compute(*given)


@pytest.mark.parametrize(("device", "wanted", "expected"), [("cuda", True, 1), ("cuda", False, 0), ("cpu", True, 0)])
def test_steps_are_compiled_where_asked_for_and_on_gpus_alone(stage, monkeypatch, device, wanted, expected):
    calls = []
    monkeypatch.setattr(torch, "compile", lambda call, **options: calls.append(options) or call)
    module, _ = stage("both", ("[hardware]", f"[hardware]\ncompile = {str(wanted).lower()}"))
    module._device = torch.device(device, 0)
    module.on_fit_start()
    assert len(calls) == expected


@pytest.mark.parametrize(("precision", "expected"), [("bf16-mixed", True), ("32-true", False)])
def test_on_a_cpu_mixed_precision_has_channels_last(stage, precision, expected):
    module, _ = stage("both")
    module.trainer = L.Trainer(logger=False, accelerator="cpu", enable_checkpointing=False, precision=precision)
    module.on_fit_start()
    assert module.model.net_r.out.weight.is_contiguous(memory_format=torch.channels_last) == expected


@pytest.mark.parametrize("step", [0, 1])
def test_restoring_distorted_pixels_alone_changes_neither_loss_nor_gradient(stage, step):
    losses, gradients = [], []
    for below in (0, 0.5, 1):
        module, batch = stage("both", ("[hardware]", f"[hardware]\npacked_below = {below}"))
        module.model.net_l.head.bias.data[:4] += 0.5  # half of each mask
        loss = sum_known(*module.measure(batch, step))
        loss.backward()
        losses.append(loss.item())
        gradients.append(torch.cat([part.grad.flatten() for part in module.parameters()]))
    for loss, gradient in zip(losses[1:], gradients[1:], strict=True):
        assert loss == pytest.approx(losses[0], rel=1e-5)  # the same sums in another order, as above
        assert (gradient - gradients[0]).norm() < 1e-4 * gradients[0].norm()


def test_channels_last_is_for_gpus_by_default(stage):
    module, _ = stage("both")
    assert not module._channels_last()
    module._device = torch.device("cuda", 0)
    assert module._channels_last()


def test_mixed_bfloat16_trains_on_a_cpu(configure, folder, monkeypatch):
    scores, types, convolve = [], set(), torch.nn.functional.conv2d

    def see(*given, **options):
        result = convolve(*given, **options)
        types.add(result.dtype)
        return result

    monkeypatch.setattr(torch.nn.functional, "conv2d", see)
    for precision, dtype in (("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)):
        types.clear()
        config = configure(('"32-true"', f'"{precision}"'), stages=[("both", 1)])
        scores.append(train(config, folder / precision, progress=False)["scores"])
        assert dtype in types and (dtype == torch.float32) == (torch.bfloat16 not in types)
    for name in ("image_loss", "mask_loss"):
        assert scores[1][name] == pytest.approx(scores[0][name], rel=0.05)  # 8 bits: 0.4 % a product
        assert math.isfinite(scores[1][name])


@pytest.mark.parametrize(
    ("wanted", "accelerator", "gpu", "bfloat16", "chosen"),
    [
        ("auto", "auto", False, False, "32-true"),
        ("auto", "cpu", True, True, "32-true"),
        ("auto", "gpu", True, True, "bf16-mixed"),
        ("auto", "auto", True, False, "16-mixed"),
        ("32-true", "gpu", True, True, "32-true"),
        ("bf16-mixed", "cpu", False, False, "bf16-mixed"),
    ],
)
def test_auto_precision_is_mixed_on_gpus(monkeypatch, wanted, accelerator, gpu, bfloat16, chosen):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bfloat16)
    assert _precision(wanted, accelerator) == chosen


@pytest.mark.parametrize(("warm_up", "steps"), [(0, 10), (1, 5), (4, 20), (30, 10)])
def test_the_rate_warms_up_in_even_steps_and_falls_as_a_cosine_to_a_hundredth(warm_up, steps):
    stage = Stage(train="both", steps=steps, warm_up=warm_up)
    rates = [rate(step, stage) for step in range(warm_up + 1)]
    assert rates == pytest.approx([(step + 1) / (warm_up + 1) for step in range(warm_up + 1)])
    if steps > warm_up:
        falling = [rate(step, stage) for step in range(warm_up, steps)]
        assert falling == sorted(falling, reverse=True)
        assert rate((warm_up + steps) / 2, stage) == pytest.approx(0.505)  # the middle of 1 and 0.01
        assert rate(steps, stage) == pytest.approx(0.01)
    assert rate(10 * steps + warm_up, stage) == pytest.approx(0.01)


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_loss_that_is_not_finite_stops_the_run_and_leaves_its_batch(configure, folder, monkeypatch, value):
    losses = iter([torch.tensor(0.5, requires_grad=True), torch.tensor(float(value))])
    monkeypatch.setattr("spair.training.loop.module.image_loss", lambda *images: next(losses))
    config = configure(("batch = 1", "batch = 2"), stages=[("net_l", 1), ("net_r", 3)])
    saved = folder / "runs" / "test" / BAD_BATCH
    message = f"the loss is {value} at step 1 of stage 1, .* saved as {re.escape(str(saved))}"
    with pytest.raises(FloatingPointError, match=message):
        train(config, folder / "runs", progress=False)
    corpus = load_corpus(config.data, 16)
    samples = PatchDataset(corpus, config.data, SIMULATORS["rain"], 16, config.seed, first=4, count=2)  # 2 + 2 before
    with np.load(saved) as batch:
        assert set(batch) == {"degraded", "clean", "mask", "known", "step", "stage"}
        assert (batch["step"], batch["stage"]) == (1, 1)
        for name, parts in Sample(*default_collate(list(samples)))._asdict().items():
            np.testing.assert_array_equal(batch[name], parts.numpy())
    assert not saved.with_suffix(".tmp").exists()


def test_gradients_are_clipped_to_the_norm_of_the_file(configure, folder):
    """AdamW makes a step of g / (g + 1e-8) of a gradient g: clipped to 1e-12 in all, it moves nothing."""
    moved = []
    for name, clip in (("free", "1e9"), ("clipped", "1e-12")):
        config = configure(("epoch = 2", f"epoch = 2\nema = 0.0\nclip = {clip}"), stages=[("net_l", 1)])
        L.seed_everything(config.seed, verbose=False)
        start = RestorationModule(config).model.state_dict()
        trained = load_checkpoint(Path(train(config, folder / name, progress=False)["checkpoint"])).model.state_dict()
        moved.append(max(float((trained[key] - value).abs().max()) for key, value in start.items()))
    free, clipped = moved
    assert 0 < clipped < 0.01 * free


def test_net_r_gets_no_sample_without_a_clean_picture(configure, masked):
    changes = (masked[0], f"{masked[1]}\nfrom_masked = 0.6"), ("batch = 1", "batch = 8")
    config = configure(*changes, transplant=0.2, simulate=0.1, stages=EACH)
    corpus = load_corpus(config.data, 16)

    def known(stage: int) -> list[float]:
        loader = PatchModule(config, corpus, stage).train_dataloader()
        return [value for batch in loader for value in Sample(*batch).known.tolist()]

    assert set(known(1)) == {1.0}
    assert set(known(0)) == set(known(2)) == {0.0, 1.0}


def test_samples_are_numbered_through_the_stages(configure):
    config = configure(("batch = 1", "batch = 3"), stages=EACH)
    corpus = load_corpus(config.data, 16)
    patches = [PatchModule(config, corpus, stage).train_dataloader().dataset for stage in range(3)]
    assert [(part.first, part.count) for part in patches] == [(0, 6), (6, 6), (12, 6)]


class Fixed(torch.nn.Module):
    """Restores every picture to black with a white first column, under a mask of the first eleven."""

    def forward(self, pictures: torch.Tensor) -> Restored:
        image, mask = torch.zeros_like(pictures), torch.zeros_like(pictures[:, :1])
        image[..., 0], mask[..., :11] = 1.0, 1.0
        return Restored(image, mask, mask)


def validated(module, picture, monkeypatch) -> dict[str, float]:
    scores = {}
    monkeypatch.setattr(module, "log", lambda name, value, **options: scores.update({name: value}))
    module.model = Fixed()
    module.validation_step(picture, 0)
    return scores


def test_a_held_out_pair_is_scored_by_its_picture_and_its_mask(stage, configure, folder, monkeypatch):
    module, _ = stage("both")
    (pair,) = load_corpus(module.config.data, 16).held_out
    scores = validated(module, pair, monkeypatch)
    group = folder.name
    assert set(scores) == {f"{n}/{group}" for n in ("psnr_y", "psnr_rgb", "iou", "density", "true_density")}
    assert scores[f"iou/{group}"] == pytest.approx(1 / 11)  # one column of eleven is distorted
    assert scores[f"density/{group}"] == pytest.approx(11 / 33)
    assert scores[f"true_density/{group}"] == pytest.approx(1 / 33)
    output = np.zeros(pair.clean.shape)
    output[:, 0] = 1.0
    error = np.mean((output - pair.clean / 255.0) ** 2)
    assert scores[f"psnr_rgb/{group}"] == pytest.approx(-10 * math.log10(error), abs=1e-4)


def test_a_held_out_photograph_is_scored_by_its_mask_alone(stage, masked, monkeypatch):
    module, _ = stage("both", masked, ('held_out = ["0"]', 'held_out = ["0", "b"]'))
    corpus = load_corpus(module.config.data, 16)
    (photo,) = corpus.held_out_masked
    scores = validated(module, photo, monkeypatch)
    found = np.zeros((18, 21), bool)
    found[:, :11] = True
    assert set(scores) == {"iou/wet", "density/wet", "true_density/wet"}
    assert scores["iou/wet"] == pytest.approx((found & photo.mask).sum() / (found | photo.mask).sum())
    held_out = [list(PatchModule(module.config, corpus, stage).val_dataloader()) for stage in range(3)]
    assert [len(pictures) for pictures in held_out] == [2, 1, 2]  # Net_R has nothing to be judged by
