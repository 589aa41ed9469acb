"""Orders know what a board's stack takes."""

import pytest

from spair.export.engines.kit.order import CHIPS, KitOrder
from spair.export.engines.options import EngineOptions
from spair.plugins.compiler.targets import TARGETS, find_target

JETSONS = [target.name for target in TARGETS if target.name.startswith("jetson")]


@pytest.mark.parametrize(
    ("name", "chip", "python", "series", "requirements"),
    [
        ("jetson-orin-jp6", "tegra234", "3.10", ["36.4", "36.5"], ["numpy<2", "cuda-bindings==12.9.*"]),
        ("jetson-orin-jp7", "tegra234", "3.12", ["39.2"], ["cuda-bindings==13.*"]),
        ("jetson-thor", "tegra264", "3.12", ["38.2", "38.4", "39.2"], ["cuda-bindings==13.*"]),
    ],
)
def test_a_board_gets_what_its_stack_takes(name, chip, python, series, requirements):
    order = KitOrder(find_target(name), (), EngineOptions())
    assert (order.chip, order.python, order.series, order.requirements) == (chip, python, series, requirements)


@pytest.mark.parametrize("name", JETSONS)
def test_all_stacks_of_a_target_have_one_python_and_one_generation_of_cuda(name):
    order = KitOrder(find_target(name), (), EngineOptions())
    assert len({stack.python for stack in order.stacks}) == 1
    assert len({stack.cuda[0] for stack in order.stacks}) == 1
    assert order.target.architectures[0] in CHIPS


def test_a_server_has_no_stack():
    assert KitOrder(find_target("l4"), (), EngineOptions()).stacks == []


def test_the_words_of_the_build_are_those_that_were_asked_for():
    options = EngineOptions((320, 240), (640, 480), 2, level=3, workspace=512, keep_outputs=("a*",))
    words = " ".join(KitOrder(find_target("jetson-thor"), ("fp16",), options, served=True).words)
    assert words == (
        "--precision fp16 --usual-size 320x240 --max-size 640x480 --batch 2 --served --optimization-level 3 "
        "--workspace 512 --keep-outputs a*"
    )
