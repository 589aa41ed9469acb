"""Targets are data: every record makes sense, and unknown names are answered with the known ones."""

import dataclasses

import pytest

from spair.plugins.compiler.kernels.occupancy import MULTIPROCESSORS
from spair.plugins.compiler.targets import ARCHITECTURES, TARGETS, find_target, newest_ptx, specific_name
from spair.plugins.compiler.tools import FIRST_CUDA
from spair.plugins.errors import PluginError

NAMES = [target.name for target in TARGETS]


def test_the_promised_targets_are_there():
    promised = {"jetson-orin-jp6", "jetson-orin-jp7", "jetson-thor", "l4", "ada", "hopper", "blackwell", "rtx"}
    assert promised == set(NAMES)
    assert len(NAMES) == len(promised), "names are unique"


@pytest.mark.parametrize("target", TARGETS, ids=NAMES)
def test_the_fallback_is_the_highest_architecture_whose_ptx_later_gpus_take(target):
    own = [architecture for architecture in target.architectures if architecture < 90]
    assert target.fallback < 90
    assert not own or target.fallback == max(own)
    assert target.fallback <= min(*target.architectures, 200) or target.fallback in target.architectures


@pytest.mark.parametrize("target", TARGETS, ids=NAMES)
def test_jetsons_are_aarch64_and_all_else_x86_64(target):
    assert target.machine == ("aarch64" if target.name.startswith("jetson") else "x86_64")


def test_jetpack_6_gets_what_its_driver_and_parser_read():
    target = find_target("jetson-orin-jp6")
    assert (target.architectures, target.cuda, target.ptx, target.tensorrt) == ((87,), (12, 6), (8, 5), (10, 3))


@pytest.mark.parametrize(
    ("cuda", "ptx"),
    [
        ((12, 0), (8, 0)),
        ((12, 5), (8, 5)),
        ((12, 6), (8, 5)),
        ((12, 8), (8, 7)),
        ((12, 9), (8, 8)),
        ((13, 0), (9, 0)),
        ((13, 2), (9, 2)),
    ],
)
def test_ptx_versions_follow_cuda(cuda, ptx):
    assert newest_ptx(cuda) == ptx


@pytest.mark.parametrize("cuda", [(11, 8), (14, 0)])
def test_ptx_of_an_unknown_cuda_is_not_guessed(cuda):
    with pytest.raises(ValueError, match=f"got {cuda[0]}"):
        newest_ptx(cuda)


def test_every_architecture_has_limits_and_a_first_cuda():
    assert set(MULTIPROCESSORS) == set(FIRST_CUDA) == set(ARCHITECTURES)


@pytest.mark.parametrize(("architecture", "name"), [(87, "sm_87"), (89, "sm_89"), (90, "sm_90a"), (120, "sm_120a")])
def test_code_from_90_on_is_for_one_architecture_only(architecture, name):
    assert specific_name(architecture) == name


@pytest.mark.parametrize(
    ("asked", "hint"), [("jetson-orin", "did you mean jetson-orin-jp"), ("tpu", "'tpu': the targets")]
)
def test_an_unknown_target_is_answered_with_the_known_ones(asked, hint):
    with pytest.raises(PluginError, match=hint) as caught:
        find_target(asked)
    assert all(name in str(caught.value) for name in NAMES)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"architectures": (75,)}, "architectures must be among"),
        ({"architectures": ()}, "architectures must be among"),
        ({"fallback": 90}, "fallback must be below 90"),
        ({"machine": "riscv64"}, "machine must be one of x86_64, aarch64, got 'riscv64'"),
    ],
)
def test_a_record_that_makes_no_sense_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(TARGETS[0], **change)
