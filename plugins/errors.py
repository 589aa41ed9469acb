"""The error that every misuse of this package raises."""


class PluginError(ValueError):
    """Kernels or the plugin library cannot be made: one sentence saying what, what was given, expected and how to fix it."""
