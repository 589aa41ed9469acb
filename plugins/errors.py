"""The error that every misuse of this package raises."""


class PluginError(ValueError):
    """No kernels or no plugin library can be made: one sentence with what was given, expected, and how to fix it."""
