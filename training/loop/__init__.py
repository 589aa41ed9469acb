"""The training loop: steps, losses and checkpoints."""
