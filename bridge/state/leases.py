"""Leases: which sites a worker writes. One worker at a time writes a site, and has all its limits.

A share of an issue's window, or of a bucket, would be too small to use and still be exceeded by
chance; and the calls of one subject, as those that adopt on one issue, need one order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

LEASE_SECONDS = 15.0
"""How long a site may be without a writer when its worker is gone."""
BEATS = 3
"""So often a worker gives a sign of life in that time."""
ARRIVAL = 5.0
"""Seconds after which a request whose sender is gone has been done by Jira, or never will be."""


class Standing(NamedTuple):
    """A site's lease as it stands: its fence, who has it, and until when (seconds, of one clock)."""

    fence: int
    worker: str
    until: float


NOBODY = Standing(0, "", 0.0)


@dataclass(frozen=True, slots=True)
class Share:
    """What a worker has of the sites: `taken` is a part of `fences`; `surplus` is to be given up."""

    fences: dict[str, int]
    taken: frozenset[str]
    surplus: tuple[str, ...]


def share(
    worker: str,
    serves: Mapping[str, Sequence[str]],
    kept: Mapping[str, int],
    standing: Mapping[str, Standing],
    now: float,
) -> Share:
    """The leases that `worker` renews, takes and gives up.

    Args:
        worker: who asks.
        serves: the sites that each live worker serves, the asking one's included.
        kept: fences of the leases that it still goes by; others of its own are spent.
        standing: the leases as they stand, of all sites; one without was never held.
        now: seconds, of the clock by which leases end.
    """
    plan = assign(worker, serves, {site: lease.worker for site, lease in standing.items()})
    fences, taken, surplus = dict[str, int](), set[str](), []
    for site in sorted(serves[worker]):
        lease = standing.get(site, NOBODY)
        if lease.worker == worker and kept.get(site) == lease.fence:
            fences[site] = lease.fence
            if plan[site] != worker:
                surplus.append(site)
        elif plan[site] == worker and (lease.worker in {worker, ""} or lease.until <= now):
            fences[site] = lease.fence + 1
            taken.add(site)
    return Share(fences, frozenset(taken), tuple(surplus))


def assign(asking: str, serves: Mapping[str, Sequence[str]], holders: Mapping[str, str]) -> dict[str, str]:
    """Which live worker is to have each site, by what all of them find in the ledger.

    Each site stays with its holder. A free one goes to who has the fewest of those that serve it, to
    who asks before an equal, which may be about to end. Then sites move while that brings two workers
    nearer to each other: it comes to an end, since no move is undone.
    """
    servers = {
        site: sorted(worker for worker, sites in serves.items() if site in sites)
        for site in sorted({site for sites in serves.values() for site in sites})
    }
    plan = {site: holders[site] for site, able in servers.items() if holders.get(site) in able}
    load = Counter(plan.values())
    for site in sorted(servers.keys() - plan.keys(), key=lambda site: (len(servers[site]), site)):
        plan[site] = min(servers[site], key=lambda able: (load[able], able != asking))
        load[plan[site]] += 1
    while move := _move(plan, servers, load):
        site, to = move
        load[plan[site]] -= 1
        load[to] += 1
        plan[site] = to
    return plan


def _move(
    plan: Mapping[str, str], servers: Mapping[str, Sequence[str]], load: Mapping[str, int]
) -> tuple[str, str] | None:
    """A site whose worker has two or more beyond another that serves it, and that one."""
    for site, able in servers.items():
        fewest = min(able, key=lambda worker: load[worker])
        if load[plan[site]] - load[fewest] > 1:
            return site, fewest
    return None
