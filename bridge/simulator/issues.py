"""Jira's issues, by key, former key and id, with the links that they hold. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count

from bridge.simulator.fields import Record

_KEY = re.compile(r"([A-Z][A-Z0-9_]*)-[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class Stored:
    """A link in Jira's own form; `created_at` in seconds since the epoch."""

    record: Record
    created_at: float


@dataclass(slots=True)
class Issue:
    """An issue and its links by id."""

    id: int
    key: str
    links: dict[int, Stored] = field(default_factory=dict)
    is_deleted: bool = False
    _by_global_id: dict[str, set[int]] = field(default_factory=dict)

    @property
    def project(self) -> str:
        """The key's first part."""
        return self.key.rpartition("-")[0]

    def put(self, number: int, link: Stored) -> None:
        """Make or replace a link."""
        self.links[number] = link
        if global_id := link.record.get("globalId"):
            self._by_global_id.setdefault(global_id, set()).add(number)

    def of_global_id(self, global_id: str) -> list[int]:
        """The ids of the links with that globalId, the oldest first.

        `links` is the truth: the index is a list of candidates, since a link may be gone or have
        another globalId by now.
        """
        candidates = sorted(self._by_global_id.get(global_id, ()))
        standing = [(number, self.links[number].record) for number in candidates if number in self.links]
        return [number for number, record in standing if record.get("globalId") == global_id]


class Issues:
    """Which issues there are."""

    def __init__(self, issues: Iterable[str] = (), projects: Iterable[str] = ()) -> None:
        """`issues` exist by their keys; in `projects` each issue exists."""
        self._start = tuple(issues)
        self._projects = {project.upper() for project in projects}
        self.reset()

    def reset(self) -> None:
        """Have the issues again that were there at the start."""
        self._keys: dict[str, Issue] = {}
        self._ids: dict[int, Issue] = {}
        self._numbers = count(10_000)
        for key in self._start:
            if self.find(key) is None:
                self.add(key)

    @property
    def issues(self) -> list[Issue]:
        """The issues that were named so far and are not deleted."""
        return [issue for issue in self._ids.values() if not issue.is_deleted]

    def add(self, key: str) -> Issue:
        """Make an issue. Raises ValueError when it is there already or `key` is no key."""
        key = key.upper()
        if not _KEY.fullmatch(key) or key in self._keys:
            raise ValueError(f"{key} is no issue key, or is taken")
        issue = Issue(next(self._numbers), key)
        self._keys[key] = self._ids[issue.id] = issue
        return issue

    def find(self, key_or_id: str) -> Issue | None:
        """The issue by its key, a former key or its id; None when it does not exist."""
        text = key_or_id.upper()
        if text.isascii() and text.isdigit():
            issue = self._ids.get(int(text)) if len(text) < 19 else None  # noqa: PLR2004 - 64 bits
        elif text in self._keys:
            issue = self._keys[text]
        else:
            key = _KEY.fullmatch(text)
            issue = self.add(text) if key and key[1] in self._projects else None
        return issue if issue and not issue.is_deleted else None

    def _known(self, key: str) -> Issue:
        """As `find`. Raises ValueError when there is no such issue."""
        if issue := self.find(key):
            return issue
        raise ValueError(f"{key} does not exist")

    def move_issue(self, key: str, new_key: str) -> None:
        """Give the issue another key; it goes on answering to the old one, and its links stay.

        Raises ValueError when there is no such issue, or the new key is none or is taken.
        """
        issue, new_key = self._known(key), new_key.upper()
        if not _KEY.fullmatch(new_key) or self._keys.get(new_key, issue) is not issue:
            raise ValueError(f"{new_key} is no issue key, or is taken")
        issue.key = new_key
        self._keys[new_key] = issue

    def delete_issue(self, key: str) -> None:
        """Delete the issue and all its links for good. Raises ValueError when there is no such issue."""
        issue = self._known(key)
        issue.is_deleted = True
        issue.links.clear()
