"""Leases: which sites a worker writes. One worker at a time writes a site, and has all its limits.

A share of an issue's window, or of a bucket, would be too small to use and still be exceeded by
chance; and the calls of one subject, as those that adopt on one issue, need one order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

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
    sites: Sequence[str],
    kept: Mapping[str, int],
    standing: Mapping[str, Standing],
    workers: int,
    seconds: float,
    now: float,
) -> Share:
    """The leases that `worker` renews and takes.

    Each of the `workers` that are alive has as many sites as any, give or take one. A lease that has
    been free for `seconds` goes to whoever asks: the others may not know the site.

    Args:
        worker: who asks.
        sites: those that it serves.
        kept: fences of the leases that it still goes by; others of its own are spent.
        standing: the leases as they stand; a site without one was never held.
        workers: how many are alive, the asking one included.
        seconds: how long a lease lasts.
        now: seconds, of the clock by which leases end.
    """
    most = -(-len(sites) // max(1, workers))
    leases = {site: standing.get(site, NOBODY) for site in sites}
    fences = {
        site: lease.fence
        for site, lease in leases.items()
        if lease.worker == worker and kept.get(site) == lease.fence
    }
    surplus = tuple(sorted(fences)[most:])
    taken = set()
    for site, lease in leases.items():
        is_free = site not in fences and (lease.worker in {worker, ""} or lease.until <= now)
        is_left = lease.fence > 0 and lease.until <= now - seconds
        if is_free and (len(fences) < most or is_left):
            fences[site] = lease.fence + 1
            taken.add(site)
    return Share(fences, frozenset(taken), surplus)
