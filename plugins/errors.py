"""Error type of this package."""


class PluginError(ValueError):
    """Refusal to make kernels or a plugin library.

    The message is one sentence: what was given, what was expected, and how to fix it. The two attributes are the exit
    code of the command line and the HTTP status of a server.
    """

    exit_code = 2
    http_status = 400
