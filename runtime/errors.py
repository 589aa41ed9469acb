"""Errors that a user can act on.

Each class carries the exit code of the command line and the HTTP status of a server. A door (`cli`, later a server)
reads the two attributes and prints the message, which is one sentence: what failed, what was given, what was expected
and how to fix it. Any other exception is a bug and keeps its traceback.
"""


class UserError(ValueError):
    """Bad input."""

    exit_code = 2
    http_status = 400


class GateError(RuntimeError):
    """Failure of a measured accuracy gate.

    The input was fine, but the result is not good enough.
    """

    exit_code = 1
    http_status = 500
