"""Training loop with its steps, losses and checkpoints."""
