"""Leases: which sites a worker writes. One worker at a time writes a site, and has all its limits.

A share of an issue's window, or of a bucket, would be too small to use and still be exceeded by
chance; and the calls of one subject, as those that adopt on one issue, need one order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
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
    sites: Sequence[str],
    kept: Mapping[str, int],
    standing: Mapping[str, Standing],
    servers: Mapping[str, int],
    seconds: float,
    now: float,
) -> Share:
    """The leases that `worker` renews and takes.

    Of a site that n live workers serve each has an nth to take, and as many sites as that comes to,
    rounded up. It keeps those first that the fewest others serve. A lease that has been free for
    `seconds` goes to whoever asks.

    Args:
        worker: who asks.
        sites: those that it serves.
        kept: fences of the leases that it still goes by; others of its own are spent.
        standing: the leases as they stand; a site without one was never held.
        servers: how many live workers serve each site, the asking one included.
        seconds: how long a lease lasts.
        now: seconds, of the clock by which leases end.
    """
    served = {site: max(1, servers.get(site, 1)) for site in sites}
    most = ceil(sum(Fraction(1, count) for count in served.values()))
    order = sorted(sites, key=lambda site: (served[site], site))
    leases = {site: standing.get(site, NOBODY) for site in order}
    fences = {
        site: lease.fence
        for site, lease in leases.items()
        if lease.worker == worker and kept.get(site) == lease.fence
    }
    surplus = tuple(fences)[most:]
    taken = set()
    for site, lease in leases.items():
        is_free = site not in fences and (lease.worker in {worker, ""} or lease.until <= now)
        is_left = lease.fence > 0 and lease.until <= now - seconds
        if is_free and (len(fences) < most or is_left):
            fences[site] = lease.fence + 1
            taken.add(site)
    return Share(fences, frozenset(taken), surplus)
