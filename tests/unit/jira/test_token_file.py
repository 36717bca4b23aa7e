"""The file of a rotating refresh token, on a real disk."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from bridge.errors import JiraUnauthorized
from bridge.jira.token_file import RefreshTokenFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with the first token, as somebody wrote it by hand."""
    path = tmp_path / "refresh"
    path.write_text(" first\n", "utf-8")
    path.chmod(0o640)
    return path


def test_next_token_takes_the_place_of_the_first(path: Path) -> None:
    """The file is exchanged as a whole, by one of the same mode."""
    file = RefreshTokenFile(path)
    assert file.read() == "first"
    before = path.stat().st_ino
    file.keep("second")
    assert list(path.parent.iterdir()) == [path]
    assert (path.read_text("utf-8"), file.read()) == ("second\n", "second")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.stat().st_ino != before


def test_a_token_put_there_by_hand_is_taken_up(path: Path) -> None:
    """The file is read at each use."""
    file = RefreshTokenFile(path)
    file.keep("second")
    path.write_text("by hand", "utf-8")
    assert file.read() == "by hand"


def test_a_link_to_the_file_stays(path: Path) -> None:
    """Where the path is a symbolic link, its target is exchanged."""
    link = path.with_name("link")
    link.symlink_to(path)
    RefreshTokenFile(link).keep("second")
    assert link.is_symlink()
    assert path.read_text("utf-8") == "second\n"


@contextmanager
def no_more_files(folder: Path) -> Iterator[None]:
    """For so long the next token cannot be written: what it would be written to is no file."""
    blocked = folder / ".refresh.next"
    blocked.unlink(missing_ok=True)
    blocked.mkdir()
    yield
    blocked.rmdir()


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff"])
def test_no_token(path: Path, content: bytes | None) -> None:
    """A file that is missing, empty or no text is named."""
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(JiraUnauthorized, match=r"refresh: "):
        RefreshTokenFile(path).read()


def test_a_token_that_cannot_be_kept_is_not_lost(path: Path) -> None:
    """Where the folder is gone, the next token is held until it can be written."""
    file = RefreshTokenFile(path)
    file.read()
    folder = path.parent.rename(path.parent.with_name("elsewhere"))
    with pytest.raises(JiraUnauthorized, match="cannot be written") as caught:
        file.keep("second")
    assert "second" not in str(caught.value)
    with pytest.raises(JiraUnauthorized, match="cannot be read"):
        file.read()
    folder.rename(path.parent)
    assert file.read() == "second"
    file.keep("third")
    assert (path.read_text("utf-8"), file.read()) == ("third\n", "third")


def test_a_token_put_there_by_hand_wins_over_one_that_was_not_kept(path: Path) -> None:
    """Who puts a new token there after a failure need not start anew."""
    file = RefreshTokenFile(path)
    file.read()
    with no_more_files(path.parent), pytest.raises(JiraUnauthorized):
        file.keep("second")
    assert file.read() == "second"
    path.write_text("by hand", "utf-8")
    assert file.read() == "by hand"


def test_no_token_without_room_for_the_next(path: Path) -> None:
    """A token is not handed out to be used up where its follower could not be written."""
    file = RefreshTokenFile(path)
    with no_more_files(path.parent):
        with pytest.raises(JiraUnauthorized, match="cannot be written"):
            file.read()
        with pytest.raises(JiraUnauthorized, match="cannot be written"):
            file.check()
    assert file.read() == "first"


def test_a_check_leaves_nothing(path: Path) -> None:
    """To see that a token could be renewed changes neither the file nor its folder."""
    before = path.stat()
    RefreshTokenFile(path).check()
    assert path.stat() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file to another user")
def test_the_owner_stays(path: Path) -> None:
    """The file of another user, who may read it, stays that user's and group's."""
    os.chown(path, 65534, 65533)
    RefreshTokenFile(path).keep("second")
    found = path.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (65534, 65533, 0o640)


def test_a_folder_that_cannot_be_synced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File systems that sync no folders (EINVAL) keep the token all the same."""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    RefreshTokenFile(path).keep("second")
    assert path.read_text("utf-8") == "second\n"


def test_an_error_holds_no_token(path: Path) -> None:
    """What a file has that is no text hangs on no error."""
    path.write_bytes(b"s3cret\xff")
    with pytest.raises(JiraUnauthorized) as caught:
        RefreshTokenFile(path).read()
    assert caught.value.__context__ is None


def test_repr_hides(path: Path) -> None:
    """A log may show where the token stands, and not the token."""
    assert "first" not in repr(RefreshTokenFile(path))


class Renewals(RuleBasedStateMachine):
    """Through renewals that cannot be kept and tokens put there, the newest good token is the one used."""

    def __init__(self) -> None:
        """The first token is put there."""
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "refresh"
        self.number = 0
        self.put()
        self.file = RefreshTokenFile(self.path)

    def teardown(self) -> None:
        """Leave nothing."""
        self.folder.cleanup()

    def _next(self) -> str:
        self.number += 1
        return f"token-{self.number}"

    @rule()
    def put(self) -> None:
        """Somebody writes a token by hand."""
        self.good = self._next()
        self.path.write_text(f"{self.good}\n", "utf-8")

    @rule()
    def renew(self) -> None:
        """The good token is used up, and the next one kept."""
        assert self.file.read() == self.good
        self.good = self._next()
        self.file.keep(self.good)
        assert self.path.read_text("utf-8") == f"{self.good}\n"

    @rule()
    def fail_to_keep(self) -> None:
        """The good token is used up, and then the next one cannot be written."""
        assert self.file.read() == self.good
        self.good = self._next()
        with no_more_files(self.path.parent), pytest.raises(JiraUnauthorized):
            self.file.keep(self.good)

    @rule()
    def fail_to_read(self) -> None:
        """No token is given out where the next one could not be written."""
        with no_more_files(self.path.parent), pytest.raises(JiraUnauthorized):
            self.file.read()

    @precondition(lambda self: self.path.read_text("utf-8").strip() == self.good)
    @rule()
    def start_anew(self) -> None:
        """A process that has nothing left to keep ends, and another starts."""
        self.file = RefreshTokenFile(self.path)


TestRenewals = Renewals.TestCase
TestRenewals.settings = settings(max_examples=50, stateful_step_count=20, deadline=None)
