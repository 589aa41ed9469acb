"""Bearer tokens, which both doors ask for."""

from __future__ import annotations

import hmac
from pathlib import Path

from ..runtime.errors import UserError
from .errors import ForbiddenError, UnauthenticatedError

SHORTEST = 16
"""Smallest number of characters of a token; shorter ones could be guessed."""


class Tokens:
    """Check of the header `Authorization: Bearer TOKEN`."""

    def __init__(self, token: str | None) -> None:
        """Keep the token.

        Args:
            token: the token; None lets every request in.
        """
        self._token = None if token is None else token.encode()

    @property
    def are_asked(self) -> bool:
        """Whether a request needs a token."""
        return self._token is not None

    def check(self, authorization: str | None) -> None:
        """Let a request in.

        The token is compared in a time that does not depend on how much of it is right.

        Args:
            authorization: value of the header; None if the request has none.

        Raises:
            UnauthenticatedError: the header is absent or of another kind.
            ForbiddenError: it has another token.
        """
        if self._token is None:
            return
        kind, _, given = (authorization or "").strip().partition(" ")
        if kind.lower() != "bearer" or not given.strip():
            raise UnauthenticatedError("this server wants a token; send the header Authorization: Bearer TOKEN")
        if not hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), self._token):
            raise ForbiddenError("the token is not this server's; ask who runs it")


def read_token(file: Path | None, variable: str | None) -> str | None:
    """Read the token from a file or a variable's value.

    Args:
        file: file whose first line is the token; it wins over the variable.
        variable: value of the variable; None or empty if it is not set.

    Returns:
        The token; None where neither is given.

    Raises:
        UserError: the file cannot be read, or the token is shorter than `SHORTEST` or has blanks in it.
    """
    token = variable or None
    if file is not None:
        try:
            token = file.read_text(encoding="utf-8").split("\n", 1)[0].strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot read the token from {file}: {error}; give a file of one line of text") from error
    if token is None:
        return None
    if len(token) < SHORTEST or any(character.isspace() for character in token):
        raise UserError(
            f"the token has {len(token)} characters, expected at least {SHORTEST} without blanks; "
            "make one with: openssl rand -hex 32"
        )
    return token
