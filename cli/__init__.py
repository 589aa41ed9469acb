"""The command `spair`: one file per verb; may import every other folder, and nobody imports it."""
