"""Error raised by every misuse of this package."""


class PluginError(ValueError):
    """Kernels or a plugin library cannot be made.

    The message is one sentence with what was given, what was expected, and how to fix it. The two attributes are the
    exit code of the command line and the HTTP status of a server.
    """

    exit_code = 2
    http_status = 400
