"""The file in which a rotating refresh token stands."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from bridge.errors import JiraUnauthorized


class RefreshTokenFile:
    """A `RefreshTokens` in a file that nobody else may read.

    It is read at each use, so that a token that somebody puts there is taken up without a start.
    https://developer.atlassian.com/cloud/jira/platform/oauth-2-3lo-apps/#use-a-refresh-token-to-get-another-access-token-and-refresh-token-pair
    """

    def __init__(self, path: Path) -> None:
        """Reads nothing yet.

        Args:
            path: a file that holds the first refresh token, in a folder that can be written to.
        """
        self._path = path.resolve()
        self._unkept: str | None = None

    def __repr__(self) -> str:
        return f"RefreshTokenFile({str(self._path)!r})"

    def read(self) -> str:
        """The token in the file, without the space around it.

        Returns:
            The token; one that could not be kept, rather than the one before it.

        Raises:
            JiraUnauthorized: the file cannot be read, or is empty.
        """
        if self._unkept is not None:
            return self._unkept
        try:
            token = self._path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise JiraUnauthorized(f"{self._path}: cannot be read: {_reason(error)}") from None
        if not token:
            raise JiraUnauthorized(f"{self._path}: is empty; expected a refresh token")
        return token

    def keep(self, token: str) -> None:
        """Exchange the file for one with the next token, mode 0600, at once and to stay.

        Args:
            token: the next one.

        Raises:
            JiraUnauthorized: the file cannot be written. The token is held in memory until it can.
        """
        self._unkept = token
        try:
            _exchange(self._path, token)
        except OSError as error:
            text = (
                f"{self._path}: cannot be written, so the next refresh token could be lost: {_reason(error)}"
            )
            raise JiraUnauthorized(text) from None
        self._unkept = None


def _exchange(path: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile(  # of mode 0600
        "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        new = Path(file.name)
        try:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(file.fileno())
            new.replace(path)
        except OSError:
            new.unlink(missing_ok=True)
            raise
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """See that the folder's new entry outlasts a loss of power, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else "not UTF-8 text"
