"""The page on boards has the table of stacks and the findings that the code has."""

import re
from pathlib import Path

from spair.export.engines.kit.script import SCRIPT
from spair.plugins.compiler.targets import TARGETS
from spair.runtime.machine.board.findings import RULES
from spair.runtime.machine.board.stacks import STACKS
from spair.serving.deploy import FOLDER

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "tasks" / "jetson.md").read_text(encoding="utf-8")


def read_rows(columns: int) -> list[list[str]]:
    rows = (re.split(r" *\| *", line.strip("| ")) for line in PAGE.splitlines() if line.startswith("| "))
    return [row for row in rows if len(row) == columns]


def test_the_table_of_stacks_is_the_data():
    def join(version):
        return ".".join(map(str, version))

    expected = [
        [stack.name, stack.l4t, ", ".join(stack.boards), join(stack.python), join(stack.cuda), join(stack.tensorrt),
         ", ".join(f"`{target}`" for target in stack.targets)]
        for stack in STACKS
    ]  # fmt: skip
    assert read_rows(7)[1:] == expected


def test_every_finding_is_in_the_table():
    names = [rule.__name__.removeprefix("_check_").replace("_", " ") for rule in RULES]
    assert [row[0].strip("`") for row in read_rows(2)[1:]] == names


def test_the_kit_and_the_service_are_called_as_they_are_named():
    targets = {target.name for target in TARGETS}
    assert set(re.findall(rf"plugins/([a-z0-9-]+)/{re.escape(SCRIPT)}", PAGE)) <= targets
    for name in re.findall(r"serving/deploy/([\w.-]+)\)", PAGE):
        assert (FOLDER / name).is_file(), name


def test_the_user_and_the_folders_are_those_of_the_unit():
    unit = (FOLDER / "spair-board.service").read_text(encoding="utf-8")
    for command in re.findall(r"^#   (sudo (?:useradd|install -d|-u spair) .+)$", unit, re.MULTILINE):
        assert command.rstrip(" \\") in PAGE.replace(" \\\n", " "), command
