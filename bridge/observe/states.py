"""Every state that an operator may meet: its log level, its metric, and what to do about it.

This is the one list. Code says `observe("name", **fields)`; logs and metrics look the name up
here, and a name that is not here is a KeyError. A metric's labels are fields of that call;
fields that are no labels stand in the log only. Names follow
https://prometheus.io/docs/practices/naming/.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bridge.ports import Observe


class Level(StrEnum):
    """How loud a state is in the log."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Kind(StrEnum):
    """What a metric does with the amounts that it is given."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One Prometheus metric. `amount` is a field of the state that holds it, or a fixed number."""

    name: str
    kind: Kind
    labels: tuple[str, ...] = ()
    amount: str | float = 1


@dataclass(frozen=True, slots=True)
class State:
    """One state: `advice` tells an operator what to do, empty where there is nothing to do."""

    level: Level
    meaning: str
    metric: Metric | None = None
    advice: str = ""


def _counter(name: str, *labels: str, amount: str | float = 1) -> Metric:
    return Metric(f"jira_bridge_{name}_total", Kind.COUNTER, labels, amount)


def _gauge(name: str, *labels: str, amount: str | float) -> Metric:
    return Metric(f"jira_bridge_{name}", Kind.GAUGE, labels, amount)


def _seconds(name: str, *labels: str) -> Metric:
    return Metric(f"jira_bridge_{name}_seconds", Kind.HISTOGRAM, labels, "seconds")


_CIRCUIT = "circuit_state", "site"
_SHARE = "partitions_assigned"
_LEASE = "site_leases", "site"

STATES: dict[str, State] = {
    # --- the life of a process -------------------------------------------------------------
    "starting": State(Level.INFO, "The process has read its configuration and starts."),
    "listening": State(
        Level.INFO, "The process serves at these addresses; /readyz tells what it still waits for."
    ),
    "draining": State(Level.INFO, "The process was told to stop and finishes what is under way."),
    "drain_cut_short": State(
        Level.WARNING,
        "What was under way was not finished in time after the stop, and has been cancelled.",
        _counter("drains_cut_short"),
        "Nothing is lost: the next start goes on. If it keeps happening, see what Jira, Kafka or the ledger "
        "is slow at, or lengthen `worker.drain_seconds` and the grace of whatever stops the process.",
    ),
    "stopped": State(Level.INFO, "The process has stopped."),
    "unexpected_error": State(
        Level.ERROR,
        "The bridge itself failed.",
        _counter("unexpected_errors", "place"),
        "This is a fault of the bridge: report it with the log's traceback.",
    ),
    # --- Kafka -----------------------------------------------------------------------------
    "kafka_unavailable": State(
        Level.WARNING,
        "A Kafka client cannot reach its broker, and tries again.",
        _counter("kafka_unavailable", "client"),
        "Check the broker, its address and the credentials.",
    ),
    "kafka_available": State(Level.INFO, "A Kafka client has reached its broker."),
    "topic_created": State(Level.INFO, "A topic was missing and has been created."),
    "topics_unchecked": State(
        Level.INFO,
        "The broker cannot tell or make topics' settings; they are taken as they are.",
        None,
        "Nothing with the embedded broker; elsewhere use Kafka 2.1 or later.",
    ),
    "partitions_assigned": State(
        Level.INFO,
        "The group has given this consumer its partitions.",
        _gauge(_SHARE, amount="count"),
    ),
    "partitions_revoked": State(
        Level.INFO,
        "The group shares out its partitions anew.",
        _gauge(_SHARE, amount=0),
    ),
    "position_moved": State(
        Level.WARNING,
        "Another worker has merged further than this one thought; it reads the ledger's position again.",
        _counter("positions_moved"),
        "Nothing to do, unless it keeps happening: then two workers may use one ledger by mistake.",
    ),
    "position_lost": State(
        Level.ERROR,
        "The position in a partition is no longer in the topic: records were never read.",
        _counter("positions_lost", "topic"),
        "Look for events that Jira lacks; lengthen the topic's retention. `--on-lost-position earliest` "
        "goes on from the oldest record that is left.",
    ),
    "position_adopted": State(
        Level.WARNING,
        "The ledger knows nothing of a partition that the group has read; it goes on from Kafka's offset.",
        _counter("positions_adopted", "topic"),
        "Nothing to do with a ledger that is meant to be new. If it was lost, `jira-bridge ledger rebuild` "
        "reads the topic again.",
    ),
    "member_fenced": State(
        Level.ERROR,
        "Another process has joined the group with this one's instance id; this one stops.",
        _counter("members_fenced"),
        "Give each worker a `kafka.instance_id` of its own, or see why the older process still runs.",
    ),
    "consumer_stalled": State(
        Level.ERROR,
        "The consumer gave no answer for too long and is built anew.",
        _counter("consumer_stalls"),
        "Nothing to do once; if it keeps happening, look at the broker's group coordinator.",
    ),
    "consumer_rebuilt": State(
        Level.WARNING,
        "The consumer met an error that it cannot read on from, and is built anew.",
        _counter("consumer_rebuilds", "kind"),
        "Read the error: the topic may be missing, or the account may not read it.",
    ),
    "commit_failed": State(
        Level.INFO,
        "Kafka did not take an offset. The ledger's position is the one that counts.",
        _counter("commits_failed"),
    ),
    "batch_merged": State(Level.DEBUG, "A batch of records is in the ledger.", _seconds("batch_merge")),
    "lag": State(
        Level.DEBUG,
        "Records of a partition that are not merged yet.",
        _gauge("lag_records", "topic", "partition", amount="records"),
    ),
    "dead_letter": State(
        Level.WARNING,
        "A record was rejected and stands in the dead-letter topic.",
        _counter("dead_letters", "code"),
        "`jira-bridge dlq show` tells the reason; correct the cause, then `jira-bridge dlq replay`.",
    ),
    # --- ingress ---------------------------------------------------------------------------
    "delivery_taken": State(Level.INFO, "A webhook is on Kafka.", _seconds("delivery", "endpoint")),
    "delivery_refused": State(
        Level.WARNING,
        "A webhook was not taken; the sender was told why.",
        _counter("deliveries_refused", "endpoint", "code"),
        "Look at the code; the sender's own log of deliveries holds the answer with the advice.",
    ),
    # --- events and links ------------------------------------------------------------------
    "event": State(Level.DEBUG, "What became of an event.", _counter("events", "outcome", "reason", "kind")),
    "link": State(Level.DEBUG, "What became of a link.", _counter("links", "site", "outcome", "reason")),
    "pruned": State(Level.DEBUG, "Old journal entries and tombstones have been dropped."),
    "backlog": State(
        Level.DEBUG,
        "Links of a site that this worker is to bring to Jira, as far as it has them in mind.",
        _gauge("backlog_rows", "site", amount="rows"),
    ),
    # --- the ledger ------------------------------------------------------------------------
    "ledger_unavailable": State(
        Level.ERROR,
        "The ledger's database does nothing; merging and writing pause, and go on by themselves.",
        _counter("ledger_unavailable", "client"),
        "See that its server answers, or that its disk has room and may be written; nothing is lost.",
    ),
    "ledger_available": State(Level.INFO, "The ledger's database is back."),
    "lease_taken": State(
        Level.INFO,
        "This worker writes a site from now on.",
        _gauge(*_LEASE, amount=1),
    ),
    "lease_lost": State(
        Level.WARNING,
        "This worker did not renew a site's lease in time, and stopped writing it; what was under way is "
        "looked up again.",
        _gauge(*_LEASE, amount=0),
        "Nothing to do once; if it keeps happening, the worker or its ledger is too slow.",
    ),
    # The last of those with one metric gives its help.
    "lease_released": State(
        Level.INFO,
        "This worker no longer writes a site (leases 0); one that does has 1.",
        _gauge(*_LEASE, amount=0),
    ),
    # --- reconciling -----------------------------------------------------------------------
    "reconcile_started": State(Level.INFO, "A site's links are compared with what Jira holds."),
    "reconcile_finding": State(
        Level.DEBUG,
        "A link of which the ledger and Jira say different things, or that could not be compared.",
        _counter("reconcile_findings", "site", "finding"),
    ),
    "reconcile_paused": State(
        Level.WARNING,
        "Jira does not list an issue's links now; the comparison waits, and goes on by itself.",
        _counter("reconcile_pauses", "site", "code"),
        "Look at the code; nothing is lost, and nothing is marked for it.",
    ),
    "reconcile_refused": State(
        Level.ERROR,
        "A round would take away more links than `reconcile.max_deletes_percent` allows; it marked none.",
        _counter("reconciles_refused", "site"),
        "Look at what it found: `jira-bridge reconcile --site NAME --dry-run`. If that is right, apply it "
        "with `--force`; if it is not, the ledger may be younger than the links: `reconcile.orphaned: keep`.",
    ),
    "reconcile_ended": State(Level.INFO, "A site's links have been compared, and what differed is marked."),
    # --- Jira ------------------------------------------------------------------------------
    "jira_call": State(
        Level.DEBUG,
        "A request to Jira was answered, or its answer was lost.",
        _seconds("jira_call", "site", "call", "code"),
    ),
    "shadow_call": State(
        Level.INFO,
        "A call that the worker would make of Jira, were it not a shadow; nothing was sent.",
        _counter("shadow_calls", "site", "call"),
    ),
    "rate_limited": State(
        Level.INFO,
        "Jira asked for fewer requests to an issue, by a method, or to the site.",
        _counter("rate_limits", "site", "scope"),
        "Nothing to do; the bridge waits as long as Jira says.",
    ),
    "rate_limit_near": State(
        Level.DEBUG,
        "Jira warns that little of a rate limit is left.",
        _counter("rate_limit_warnings", "site"),
    ),
    "circuit_open": State(
        Level.WARNING,
        "A site does not answer, or not as Jira does; its links wait, and one request at a time tries it.",
        _gauge(*_CIRCUIT, amount=1),
        "Look at the site's status and the network; nothing is lost, the bridge goes on by itself.",
    ),
    "circuit_half_open": State(
        Level.INFO,
        "One request tries a site whose circuit is open.",
        _gauge(*_CIRCUIT, amount=2),
    ),
    "site_halted": State(
        Level.ERROR,
        "Jira refuses the credentials of a site; its links wait, and one request at a time tries it.",
        _gauge(*_CIRCUIT, amount=3),
        "Renew the site's API token or its scopes; the bridge goes on by itself.",
    ),
    # The last of those with one metric gives its help.
    "circuit_closed": State(
        Level.INFO,
        "Requests go to a site: it answers, or was not asked yet (circuit 0; 1 open, 2 half open, 3 halted).",
        _gauge(*_CIRCUIT, amount=0),
    ),
}


def tee(*observers: Observe) -> Observe:
    """An Observe that tells each of `observers`."""

    def observe(state: str, /, **fields: object) -> None:
        for observer in observers:
            observer(state, **fields)

    return observe
