"""A plan's file: JSON Lines, written as the comparison goes, so that another run goes on from there.

The first line says what is compared; then a line an issue, one once the comparison is whole, and
one for each portion that was applied. A line that a crash has cut is compared or applied again,
which changes nothing.
"""

from __future__ import annotations

import fcntl
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson
from pydantic import TypeAdapter, ValidationError

from bridge.errors import UsageError
from bridge.state.reconcile import Compared, Plan

FORMAT = 1
_COMPARED = TypeAdapter(Compared)


class PlanFile:
    """The file of one plan: `with PlanFile(path, plan, now) as file`."""

    def __init__(self, path: Path, plan: Plan, now: datetime) -> None:
        """Begin the file, or bring `plan` to where the file ends.

        Raises UsageError where it cannot be opened, is in use, is no plan, or one of another scope.
        """
        self._path = path
        try:
            self._file = path.open("a+b")
        except OSError as error:
            raise UsageError(f"{path} cannot be opened: {error.strerror}") from error
        try:
            self._take_up(plan, now)
        except BaseException:
            self._file.close()
            raise

    def _take_up(self, plan: Plan, now: datetime) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"{self._path} is in use by another run") from None
        head = orjson.dumps({"format": FORMAT, "scope": asdict(plan.scope), "policy": asdict(plan.policy)})
        self._file.seek(0)
        text = self._file.read()
        if not text:
            self._write({**_json(head), "at": now.isoformat(timespec="seconds")})
            return
        whole = text.rfind(b"\n") + 1
        first, *lines = text[:whole].splitlines() or [text]
        if {**_json(first), "at": None} != {**_json(head), "at": None}:
            raise UsageError(f"{self._path} is no plan of this scope and policy; name another file")
        self._file.truncate(whole)
        try:
            for line in lines:
                _take_in(plan, _json(line))
        except (ValidationError, ValueError):
            wrong = "is not a plan that this version wrote; name another file"
            raise UsageError(f"{self._path} {wrong}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, compared: Compared) -> None:
        """Write what one issue came to."""
        self._write({"compared": _COMPARED.dump_python(compared, mode="json")})

    def is_whole(self) -> None:
        """Write that nothing is left to be compared."""
        self._write({"whole": True})

    def applied(self, count: int) -> None:
        """Write that so many more repairs were handed to the ledger."""
        self._write({"applied": count})

    def _write(self, line: dict[str, Any]) -> None:
        try:
            self._file.write(orjson.dumps(line) + b"\n")
            self._file.flush()
        except OSError as error:
            raise UsageError(f"{self._path} cannot be written: {error.strerror}") from error


def _json(line: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _take_in(plan: Plan, line: dict[str, Any]) -> None:
    match line:
        case {"compared": compared}:
            plan.add(_COMPARED.validate_json(orjson.dumps(compared)))
        case {"whole": True}:
            plan.is_whole = True
        case {"applied": int(count)}:
            plan.applied += count
        case _:
            raise ValueError("no line of a plan")
