"""Commands that people paste run as they read, whatever names hold."""

import shutil
import subprocess
from pathlib import Path

import pytest

from spair.runtime.errors import quote

AWKWARD = [
    "a b",
    "fp32 $(touch x)",
    "`id`",
    "it's",
    "a;b",
    "*",
    "~",
    "",
    "new\nline",
    "\x1b[31m",
    "é ü",
    "back\\slash",
    "'\n\\",
]


@pytest.mark.parametrize("word", AWKWARD, ids=repr)
def test_a_shell_takes_a_word_as_it_is(word):
    line = quote("printf", "%s", word, "end")
    assert "\n" not in line and "\x1b" not in line
    shell = shutil.which("bash")
    assert shell is not None
    done = subprocess.run([shell, "-c", line], capture_output=True, check=True)
    assert done.stdout.decode() == word + "end"


def test_a_path_is_no_option_and_an_option_is_no_path():
    assert quote("spair", "build", Path("-x.spair"), "--target", "rtx") == "spair build ./-x.spair --target rtx"
    assert quote(Path("/a/-x"), Path("rain.spair")) == "/a/-x rain.spair"


def test_names_that_are_no_text_are_kept():
    done = subprocess.run(["bash", "-c", quote("printf", "%s", Path("a\udcff"))], capture_output=True, check=True)
    assert done.stdout == b"a\xff"
