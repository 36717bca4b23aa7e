"""The table of a run: for the terminal, and as docs/faults.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.brokers import KAFKA_VERSION, ROOT
from tests.chaos.checker import AFTER, PROMISE
from tests.chaos.faults import Result

PAGE = ROOT / "docs" / "faults.md"
_HEAD = f"""\
# Faults

The promise is: *{AFTER},
{"; ".join(PROMISE)}.*

What the bridge was put through, and what came of it. `make chaos` writes this page: real Kafka
{KAFKA_VERSION}, a real PostgreSQL, a simulated Jira in a process of its own, workers as processes, and
events that go on while a fault is injected: links whose contents return, pull requests that name other
issues from version to version, duplicates, disorder. Once all is quiet, a checker that knows nothing of the
bridge's code reads the topic, the dead letters, Jira's history and links, the journal and the offsets, and
says what was

- **lost**: an event's newest wish does not stand, or neither the journal nor a dead letter tells of an event;
- **doubled**: an issue has two links for one subject;
- **regressed**: what is older stands over what is newer, for good;
- **phantom**: a link or a write that nobody asked for;
- **needless**: a write of what stood already;
- **committed past**: the ledger's position or Kafka's offset is beyond a record that has no outcome.

A row is withstood with none of these, no dead letter but where some are expected, no worker that ended by
itself but where it is to, and when its injections have hit as often as they were to. `make chaos
ARGS="--only WORD --seed N"` repeats a row's events and draws; when what happens is the machine's. The ledger
is SQLite's where a row says nothing else.

"""
_COLUMNS = ("fault", "how it is injected", "seed", "hits", "checked besides", "figures", "result")


def line(result: Result) -> str:
    """One row in words, for the progress."""
    return f"{_word(result)} ({result.hits} hits, {_figures(result.figures)}, {result.seconds:.0f} s)"


def table(rows: Sequence[str]) -> str:
    """The rows under their heads, as Markdown."""
    return "\n".join((_cells(_COLUMNS), _cells(("---",) * len(_COLUMNS)), *rows))


def row(result: Result) -> str:
    """One row of the table."""
    fault, figures = result.fault, _figures(result.figures)
    how, word = f"{fault.group}: {fault.how}", _word(result).replace("|", "/")
    return _cells((fault.name, how, str(result.seed), str(result.hits), fault.checks, figures, word))


def write(results: Sequence[Result], order: Sequence[str], page: Path = PAGE) -> None:
    """Write the page: these rows anew, the others as they stand, in the order of these names."""
    rows = _standing(page) | {result.fault.name: row(result) for result in results}
    page.write_text(_HEAD + table([rows[name] for name in order if name in rows]) + "\n", "utf-8")


def _standing(page: Path) -> dict[str, str]:
    lines = page.read_text("utf-8").splitlines() if page.exists() else []
    return {line.split(" | ")[0].removeprefix("| "): line for line in lines if line.startswith("| ")}


def _cells(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _word(result: Result) -> str:
    return "; ".join(result.problems) if result.problems else "withstood"


def _figures(figures: Mapping[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {number}" for name, number in figures.items())
