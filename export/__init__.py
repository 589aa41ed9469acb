"""Export of checkpoints to bundles, and bundles to engines."""
