"""Trained checkpoints, each with its model card: `<task>-<preset>.safetensors` and `<task>-<preset>.md`."""
