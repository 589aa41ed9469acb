"""Bundles on disk, changed and looked at behind the reader's back."""

import json
from pathlib import Path

GRAPH = "graphs/fp32/net_l.onnx"


def edit(bundle, **changes):
    """Overwrite top-level entries of a manifest on disk; None removes one."""
    file = bundle.path / "manifest.json"
    raw = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({key: value for key, value in raw.items() if value is not None}))
    return bundle.path


def snapshot(folder: Path):
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}
