"""Pictures, pairs and samples for training."""
