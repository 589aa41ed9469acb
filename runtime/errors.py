"""Errors for users, and commands in their messages.

Each class carries the exit code of the command line and the HTTP status of a server. A door (`cli`, `serving`)
reads the two attributes and prints the message, which is one sentence: what failed, what was given, what was expected
and how to fix it. Any other exception is a bug and keeps its traceback.
"""

from __future__ import annotations

import os
import shlex


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


def quote(*words: str | os.PathLike[str]) -> str:
    """Write words that a POSIX shell takes as they are.

    Args:
        words: texts, and paths; a path that begins with a dash is written so that it is no option.

    Returns:
        The words with a space between, on one line. Words with characters that do not print are written with escapes,
        `$'...'`, which bash, zsh and newer POSIX shells read.
    """
    return " ".join(_quote(word if isinstance(word, str) else _guard(os.fspath(word))) for word in words)


def _guard(path: str) -> str:
    return f"./{path}" if path.startswith("-") else path


def _quote(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    return "$'" + "".join(_escape(byte) for byte in os.fsencode(word)) + "'"


def _escape(byte: int) -> str:
    """Write one byte for `$'...'`."""
    character = chr(byte)
    if not 32 <= byte < 127:
        return f"\\{byte:03o}"
    return f"\\{character}" if character in "'\\" else character
