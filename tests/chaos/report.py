"""The table of a run: for the terminal, and as docs/faults.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.brokers import KAFKA_VERSION, ROOT
from tests.chaos.faults import Result

PAGE = ROOT / "docs" / "faults.md"
_HEAD = """\
# Faults

What the bridge was put through, and what came of it. `make chaos` writes this page: real Kafka {kafka}, a
simulated Jira in a process of its own, workers as processes, and events that go on while a fault is
injected: links whose contents return, pull requests that name other issues from version to version,
duplicates, disorder. Once all is quiet, a checker that knows nothing of the bridge's code reads the topic,
the dead letters, Jira's history and links, the journal and the offsets, and says what was *lost, doubled,
regressed, phantom, needless* or *committed past*. A row passes with none of these, and when its injections
have hit. Seed {seed}; `--seed` repeats a run's events and chance.

"""
_COLUMNS = ("fault", "how it is injected", "hits", "checked besides", "figures", "result")


def line(result: Result) -> str:
    """One row in words, for the progress."""
    word = "; ".join(result.problems) if result.problems else "withstood"
    return f"{word} ({result.hits} hits, {_figures(result.figures)}, {result.seconds:.0f} s)"


def table(results: Sequence[Result], missing: Mapping[str, str]) -> str:
    """All rows, as Markdown."""
    rows = [_COLUMNS, ("---",) * len(_COLUMNS), *map(_row, results)]
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
    return text + "".join(f"\n\nLeft out: {name}, {reason}." for name, reason in missing.items())


def write(results: Sequence[Result], missing: Mapping[str, str], seed: int) -> None:
    """Write the page."""
    PAGE.write_text(_HEAD.format(kafka=KAFKA_VERSION, seed=seed) + table(results, missing) + "\n", "utf-8")


def _row(result: Result) -> tuple[str, ...]:
    fault = result.fault
    word = "; ".join(result.problems).replace("|", "/") if result.problems else "withstood"
    return fault.name, fault.how, str(result.hits), fault.checks, _figures(result.figures), word


def _figures(figures: Mapping[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {number}" for name, number in figures.items())
