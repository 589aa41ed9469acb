"""Error type of this package."""


class CheckpointError(ValueError):
    """Refusal of a checkpoint or a preset.

    The message is one sentence: what was given, what was expected, and how to fix it. The two attributes are the exit
    code of the command line and the HTTP status of a server.
    """

    exit_code = 2
    http_status = 400
