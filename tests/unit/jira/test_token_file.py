"""The file of a rotating refresh token, on a real disk."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from bridge.errors import JiraUnauthorized
from bridge.jira.token_file import RefreshTokenFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with the first token, as somebody wrote it by hand."""
    path = tmp_path / "refresh"
    path.write_text(" first\n", "utf-8")
    path.chmod(0o644)
    return path


def test_next_token_takes_the_place_of_the_first(path: Path) -> None:
    """The file is exchanged as a whole, and nobody else may read the new one."""
    file = RefreshTokenFile(path)
    assert file.read() == "first"
    before = path.stat().st_ino
    file.keep("second")
    assert (path.read_text("utf-8"), file.read()) == ("second\n", "second")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_ino != before
    assert list(path.parent.iterdir()) == [path]


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
    folder = path.parent.rename(path.parent.with_name("elsewhere"))
    with pytest.raises(JiraUnauthorized, match="cannot be written") as caught:
        file.keep("second")
    assert "second" not in str(caught.value)
    assert file.read() == "second"
    folder.rename(path.parent)
    file.keep("third")
    assert path.read_text("utf-8") == "third\n"


def test_repr_hides(path: Path) -> None:
    """A log may show where the token stands, and not the token."""
    assert "first" not in repr(RefreshTokenFile(path))
