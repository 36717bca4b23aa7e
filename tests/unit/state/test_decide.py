"""Deciding: the whole table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.model import Adoption, CallKind, Known, Link, LinkKey, Phase, Row, Stray, Version, Wanted
from bridge.state.decide import call_for, decide, phase_of

LINK = Link.model_validate({"object": {"url": "https://ci.example/1", "title": "build 1"}})
OTHER = "another digest"


def row(known: Known, link: Link | None, digest: str | None = None, phase: Phase = Phase.PENDING) -> Row:
    wanted = Wanted(Version(0, 1, 0, 0, 0), link, "ci e", frozenset())
    return Row(LinkKey("main", "PROJ-1", "g"), wanted, known, digest, 7, phase)


@pytest.mark.parametrize(
    ("known", "digest", "for_link", "for_tombstone"),
    [
        (Known.UNSEEN, None, CallKind.CREATE, CallKind.LOOK_UP),
        (Known.ABSENT, None, CallKind.CREATE, None),
        (Known.PRESENT, LINK.digest, None, CallKind.DELETE),
        (Known.PRESENT, OTHER, CallKind.UPDATE, CallKind.DELETE),
        (Known.UNSURE, LINK.digest, CallKind.LOOK_UP, CallKind.LOOK_UP),
        (Known.TANGLED, LINK.digest, CallKind.LOOK_UP, CallKind.LOOK_UP),
        (Known.MISSING, None, CallKind.CREATE, CallKind.LIST),
    ],
)
def test_the_table(
    known: Known, digest: str | None, for_link: CallKind | None, for_tombstone: CallKind | None
) -> None:
    """Each meeting of what is wanted and what is known has one call, or none."""
    assert decide(row(known, LINK, digest)) is for_link
    assert decide(row(known, None, digest)) is for_tombstone
    assert phase_of(row(known, LINK, digest)) is (Phase.PENDING if for_link else Phase.SETTLED)


def test_every_state_is_in_the_table() -> None:
    """No known state is without an answer."""
    for known in Known:
        decide(row(known, LINK, OTHER))
        decide(row(known, None))


def test_a_rejected_row_is_not_called() -> None:
    """What Jira refused waits for news, though a call would be due."""
    assert call_for(row(Known.UNSEEN, LINK, phase=Phase.REJECTED)) is None


def test_the_call_remembers_what_was_known() -> None:
    """Settling needs what stood before the call left."""
    call = call_for(row(Known.PRESENT, LINK, OTHER))
    assert call is not None
    assert (call.kind, call.before, call.digest, call.link_id) == (CallKind.UPDATE, Known.PRESENT, OTHER, 7)


@pytest.mark.parametrize(
    ("known", "adoption", "for_link", "for_tombstone"),
    [
        (Known.UNSEEN, Adoption.SOUGHT, CallKind.LIST, CallKind.LOOK_UP),
        (Known.MISSING, Adoption.SOUGHT, CallKind.LIST, CallKind.LIST),
        (Known.PRESENT, Adoption.SOUGHT, None, CallKind.DELETE),
        (Known.ABSENT, Adoption.FOUND, CallKind.ADOPT, None),
        (Known.ABSENT, Adoption.BEGUN, CallKind.CREATE, CallKind.LIST),
        (Known.UNSURE, Adoption.BEGUN, CallKind.LOOK_UP, CallKind.LOOK_UP),
        (Known.PRESENT, Adoption.BEGUN, CallKind.LIST, CallKind.DELETE),
        (Known.PRESENT, Adoption.LEFT_OVER, CallKind.DROP, CallKind.DELETE),
        (Known.ABSENT, Adoption.LEFT_OVER, CallKind.CREATE, CallKind.DROP),
    ],
)
def test_adoption(
    known: Known, adoption: Adoption, for_link: CallKind | None, for_tombstone: CallKind | None
) -> None:
    """A list before a create, an adoption of what it shows, and what is left over dropped last."""
    for link, kind in ((LINK, for_link), (None, for_tombstone)):
        assert decide(replace(row(known, link, LINK.digest), stray=Stray(adoption, 3))) is kind
