"""Where a partition is read from."""

from __future__ import annotations

import pytest

from bridge.kafka.start import Standing, Start

# ledger, group, start; the topic holds 10 to 20
OFFSETS: list[tuple[int | None, int | None, Start, int]] = [
    (15, None, "earliest", 15),
    (15, 18, "earliest", 15),
    (10, 18, "latest", 10),
    (20, None, "earliest", 20),
    (None, 18, "earliest", 18),
    (None, 18, "latest", 18),
    (None, None, "earliest", 10),
    (None, None, "latest", 20),
    (9, 15, "latest", 10),
    (21, 15, "earliest", 10),
    (None, 9, "latest", 10),
    (None, 21, "earliest", 10),
]


@pytest.mark.parametrize(("ledger", "group", "start", "offset"), OFFSETS)
def test_where_it_is_read_from(ledger: int | None, group: int | None, start: Start, offset: int) -> None:
    """The ledger counts, then the group, then the configured start; what is lost begins at the oldest."""
    assert Standing(ledger, group, 10, 20).offset(start) == offset


@pytest.mark.parametrize(
    ("ledger", "group", "is_lost"),
    [
        (9, None, True),
        (10, None, False),
        (20, 9, False),
        (21, 15, True),
        (None, 9, True),
        (None, 10, False),
        (None, 20, False),
        (None, 21, True),
        (None, None, False),
    ],
)
def test_what_is_lost(ledger: int | None, group: int | None, is_lost: bool) -> None:
    """The position that counts is lost when the topic does not hold it any more."""
    assert Standing(ledger, group, 10, 20).is_lost == is_lost


@pytest.mark.parametrize(
    ("ledger", "group", "is_adopted"),
    [(None, 11, True), (None, 10, False), (None, None, False), (11, 15, False)],
)
def test_what_is_adopted(ledger: int | None, group: int | None, is_adopted: bool) -> None:
    """Records are passed over unknown to the ledger only where it has no position and the group has."""
    assert Standing(ledger, group, 10, 20).is_adopted == is_adopted
