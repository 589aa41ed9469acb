"""The two families of errors: the user's (one sentence, exit code 2) and ours (a traceback)."""


class UserError(ValueError):
    """Bad input: one sentence says what failed, what was given, what was expected and how to fix it."""


class GateError(RuntimeError):
    """A measured accuracy gate failed: the input was fine, the result is not good enough (exit code 1)."""
