"""Small files: what is absent, empty or switched off is not known."""

import pytest

from spair.runtime.machine.board.files import list_folders, read_number, read_text


@pytest.mark.parametrize(
    ("content", "text", "number"),
    [("a\0b\0", "a b", None), ("42\n", "42", 42), ("32760 mA", "32760 mA", 32760), (" \n", None, None),
     ("1.5", "1.5", None)],
)  # fmt: skip
def test_files_are_read_without_zeros_and_blanks(tmp_path, content, text, number):
    (tmp_path / "file").write_text(content)
    assert (read_text(tmp_path / "file"), read_number(tmp_path / "file")) == (text, number)


def test_what_cannot_be_read_is_not_known(tmp_path):
    assert read_text(tmp_path) is None and read_number(tmp_path / "absent") is None


def test_folders_are_sorted_by_number(tmp_path):
    for name in ("hwmon10", "hwmon2", "hwmon1"):
        (tmp_path / name).mkdir()
    (tmp_path / "hwmon3").touch()
    assert [path.name for path in list_folders(tmp_path, "hwmon*")] == ["hwmon1", "hwmon2", "hwmon10"]
    assert list(list_folders(tmp_path / "absent", "*")) == []
