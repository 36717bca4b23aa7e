"""The file in which a rotating refresh token stands."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bridge.errors import JiraUnauthorized


class RefreshTokenFile:
    """A `RefreshTokens` in a file that keeps its owner, group and mode.

    It is read at each use, so that a token that somebody puts there is taken up without a start.
    https://developer.atlassian.com/cloud/jira/platform/oauth-2-3lo-apps/#use-a-refresh-token-to-get-another-access-token-and-refresh-token-pair
    """

    def __init__(self, path: Path) -> None:
        """Reads nothing yet.

        Args:
            path: a file that holds the first refresh token, in a folder that can be written to.
        """
        self._path = path.resolve()
        self._next = self._path.with_name(f".{self._path.name}.next")
        self._found = ""
        self._unkept: str | None = None

    def __repr__(self) -> str:
        return f"RefreshTokenFile({str(self._path)!r})"

    def read(self) -> str:
        """The token in the file, without the space around it, once there is room for the next one.

        Returns:
            The token; one that could not be kept, rather than the one before it.

        Raises:
            JiraUnauthorized: the file cannot be read, or is empty, or could not be written anew.
        """
        text = self._text()
        if text != self._found:  # put there by somebody, which makes one that was not kept obsolete
            self._found, self._unkept = text, None
        token = self._unkept or text
        # Before the token is used up, and as long as the next one will be: a full disk shows, too.
        with self._kept_safe():
            _fill(self._next, token, self._path.stat())
        return token

    def keep(self, token: str) -> None:
        """Exchange the file for one with the next token, at once and to stay.

        Args:
            token: the next one.

        Raises:
            JiraUnauthorized: the file cannot be written. The token is held in memory until it can.
        """
        self._unkept = token
        with self._kept_safe():
            _fill(self._next, token, self._path.stat())
            self._next.replace(self._path)
        _sync(self._path.parent)
        self._found, self._unkept = token.strip(), None

    def check(self) -> None:
        """See that the token can be read, and the next one kept, and leave everything as it is.

        Raises:
            JiraUnauthorized: one of the two cannot be done.
        """
        self.read()
        with self._kept_safe():
            self._next.unlink()

    def _text(self) -> str:
        try:
            token, reason = self._path.read_text("utf-8").strip(), "is empty; expected a refresh token"
        except (OSError, UnicodeDecodeError) as error:
            token, reason = "", f"cannot be read: {_reason(error)}"
        # Raised here, since the error about bytes that are no text holds them.
        if not token:
            raise JiraUnauthorized(f"{self._path}: {reason}")
        return token

    @contextmanager
    def _kept_safe(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            text = "cannot be written anew with its owner and mode, so the next refresh token could be lost"
            raise JiraUnauthorized(f"{self._path}: {text}: {_reason(error)}") from None


def _fill(path: Path, token: str, like: os.stat_result) -> None:
    """Write a token to a file and the disk, with the owner, group and mode of another file."""
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+b") as file:
        found = os.fstat(file.fileno())
        if (found.st_uid, found.st_gid) != (like.st_uid, like.st_gid):
            os.fchown(file.fileno(), like.st_uid, like.st_gid)
        os.fchmod(file.fileno(), stat.S_IMODE(like.st_mode))
        file.write(f"{token}\n".encode())
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """See that the folder's new entry outlasts a loss of power, where the file system can do that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else "not UTF-8 text"
