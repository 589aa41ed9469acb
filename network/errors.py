"""The one error that leaves this package."""


class CheckpointError(ValueError):
    """A checkpoint or preset cannot be used: one sentence saying what was given, what was expected and the fix."""
