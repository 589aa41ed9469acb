"""The page names the files, the commands and the stacks of its target."""

import pytest

from spair.export.engines.kit.order import KitOrder
from spair.export.engines.kit.page import write_page
from spair.export.engines.options import EngineOptions
from spair.plugins.compiler.targets import TARGETS, find_target
from spair.runtime.machine.board.stacks import list_stacks

JETSONS = [target.name for target in TARGETS if target.name.startswith("jetson")]


@pytest.mark.parametrize("name", JETSONS)
def test_every_stack_is_in_the_table_with_its_sources(name):
    text = write_page(KitOrder(find_target(name), ("fp16",), EngineOptions()))
    for stack in list_stacks(name):
        row = next(line for line in text.splitlines() if line.startswith(f"| {stack.name} |"))
        assert stack.l4t in row and all(source in row for source in stack.sources)
    assert f"sh plugins/{name}/install.sh " in text and "{" not in text
    assert f"--target local --library BUNDLE/plugins/{name}/libspair_plugins.so --precision fp16 " in text
    assert "Nothing of it was run on a board by its authors" in text
