"""The page names every file of the folder."""

from __future__ import annotations

import re

from spair.export.polygraphy.folder import write_polygraphy


def test_every_file_has_a_row(built, tmp_path):
    report = write_polygraphy(built, tmp_path / "out")
    named = re.findall(r"`([^`]+)`", (tmp_path / "out" / "README.md").read_text().split("**Give")[0])
    names = {name.replace("TARGET", "l4").replace("PRECISION", "fp32") for name in named}
    for file in set(report["files"]) - {"README.md"}:
        assert file in names or f"{file.split('/')[0]}/" in names, file
