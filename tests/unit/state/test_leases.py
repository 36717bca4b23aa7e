"""Leases are shared out among live workers, whatever each of them serves, and then stay where they are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import example, given
from hypothesis import strategies as st

from bridge.state.leases import NOBODY, Standing, share

SECONDS = 15.0
BEAT = 5.0


@dataclass
class Office:
    """Workers that beat in turn, with the sites that each serves, and the leases between them."""

    serves: dict[str, tuple[str, ...]]
    leases: dict[str, Standing] = field(default_factory=dict)
    held: dict[str, dict[str, int]] = field(default_factory=dict)
    now: float = 1_000.0

    def beat(self, worker: str) -> None:
        """One worker renews, takes and gives up."""
        mine = share(worker, self.serves, self.held.get(worker, {}), self.leases, self.now)
        for site, fence in mine.fences.items():
            standing = self.leases.get(site, NOBODY)
            assert fence == standing.fence + (site in mine.taken)
            assert site not in mine.taken or standing.worker in {worker, ""} or standing.until <= self.now
            self.leases[site] = Standing(fence, worker, self.now + SECONDS)
        for site in mine.surplus:
            self.leases[site] = Standing(mine.fences[site], "", self.now)
        kept = {site: fence for site, fence in mine.fences.items() if site not in mine.surplus}
        self.held[worker] = kept

    def rounds(self, count: int) -> None:
        """All beat so often."""
        for _ in range(count):
            for worker in self.serves:
                self.beat(worker)
            self.now += BEAT

    def owners(self) -> dict[str, str]:
        """Who has each site."""
        return {site: lease.worker for site, lease in self.leases.items() if lease.worker}


SERVES = st.dictionaries(
    st.sampled_from(["w1", "w2", "w3", "w4"]),
    st.lists(st.sampled_from("abcdef"), min_size=1, unique=True).map(tuple),
    min_size=1,
)


@example({"w1": ("a", "b", "c", "d"), "w2": ("a", "b"), "w3": ("c", "d")})
@given(SERVES)
def test_each_site_comes_to_rest_with_a_worker_that_serves_it(serves: dict[str, tuple[str, ...]]) -> None:
    """After some beats each site has a worker, and no lease changes hands any more."""
    office = Office(serves)
    office.rounds(20)
    owners, fences = office.owners(), {site: lease.fence for site, lease in office.leases.items()}
    assert set(owners) == {site for sites in serves.values() for site in sites}
    assert all(site in serves[worker] for site, worker in owners.items())
    office.rounds(10)
    assert {site: lease.fence for site, lease in office.leases.items()} == fences


@given(st.integers(1, 5), st.integers(1, 12))
def test_workers_that_serve_the_same_sites_have_as_many_give_or_take_one(workers: int, sites: int) -> None:
    """Whoever was there first gives up what is beyond its share."""
    names = tuple(f"site {number:02}" for number in range(sites))
    office = Office({"first": names})
    office.rounds(2)
    office.serves |= {f"worker {number}": names for number in range(workers - 1)}
    office.rounds(20)
    counts = Counter(office.owners().values())
    assert sum(counts.values()) == sites
    assert max(counts.values()) <= -(-sites // workers)


def test_a_worker_that_is_gone_is_replaced() -> None:
    """Its leases end, and the fence of the next holder is greater."""
    office = Office({"gone": ("a",), "next": ("a",)})
    office.beat("gone")
    del office.serves["gone"]
    office.rounds(2)
    assert office.owners() == {"a": "gone"}
    office.rounds(2)
    assert office.leases["a"] == Standing(2, "next", office.now - BEAT + SECONDS)


def test_a_lease_that_is_not_kept_is_taken_anew() -> None:
    """A writer that has ended has no lease any more, though it is still its worker's."""
    office = Office({"w": ("a",)})
    office.beat("w")
    office.held["w"] = {}
    office.beat("w")
    assert office.leases["a"].fence == 2
