"""MaskedModulation: distorted pixels take the mean and variance of the clean ones."""
