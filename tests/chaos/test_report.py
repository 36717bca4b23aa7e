"""The report keeps what it is not told anew, and the rows are what they say."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.faults import Fault, Result
from tests.chaos.report import write
from tests.chaos.run import ALL, chosen
from tests.chaos.stage import Stage


async def nothing(_stage: Stage) -> None:
    """No fault at all."""


def result(name: str, seed: int, *problems: str) -> Result:
    return Result(Fault(name, "events", "how", nothing), seed, 3, {"events": 5}, list(problems), 1.0)


def test_a_row_is_written_anew_and_the_others_stay(tmp_path: Path) -> None:
    """Two rows, then one of them again: it has the new figures, and the order is that of the list."""
    page = tmp_path / "faults.md"
    write([result("b", 1), result("a", 1)], ["a", "b"], page)
    write([result("b", 2, "lost: 1 | of 5")], ["a", "b"], page)
    rows = [line for line in page.read_text("utf-8").splitlines() if line.startswith(("| a ", "| b "))]
    assert rows == [
        "| a | events: how | 1 | 3 |  | events 5 | withstood |",
        "| b | events: how | 2 | 3 |  | events 5 | lost: 1 / of 5 |",
    ]


def test_rows_have_names_of_their_own() -> None:
    """A name finds its row in the page; each row must hit, and says what it does."""
    assert len({fault.name for fault in ALL}) == len(ALL)
    assert all(fault.least >= 1 and fault.how for fault in ALL)


def test_rows_are_chosen_by_a_word_or_a_group() -> None:
    """A word in the name, or a whole group; without words it is all of them."""
    assert chosen([]) == list(ALL)
    assert {fault.group for fault in chosen(["Kafka"])} == {"Kafka"}
    assert [fault.name for fault in chosen(["zombies", "disk full"])] == ["zombies", "disk full"]
