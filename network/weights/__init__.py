"""Shipped checkpoints with their model cards.

The files are `<task>-<preset>.safetensors`, `.md` and `.template`, and `models.json` lists them.
"""
