"""MaskedModulation, which gives distorted pixels the statistics of clean ones."""
