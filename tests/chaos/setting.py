"""What a fault wants on its stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Setting:
    """What a fault wants on its stage. `rate` is in events a second, `events` the fewest of a run.

    `way` is what stands before Jira: nothing, Toxiproxy, or a front that answers. `topic` are the
    topic's settings, `worker` and `kafka` sections of the workers' configuration, `environ` their
    environment, `before` a command before theirs, `load` what is different about the events. `tmpfs`
    is the size of a disk of its own for a SQLite ledger. `is_quiet_in` is how long it may take, in
    seconds, until all is done.
    """

    ledger: Literal["sqlite", "postgresql"] = "sqlite"
    workers: int = 1
    partitions: int = 4
    sites: int = 1
    way: Literal["", "toxiproxy", "front"] = ""
    rate: float = 150.0
    events: int = 600
    knobs: Mapping[str, Any] = field(default_factory=dict)
    limit: str = "none"
    topic: Mapping[str, str] = field(default_factory=dict)
    worker: Mapping[str, Any] = field(default_factory=dict)
    kafka: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    load: Mapping[str, Any] = field(default_factory=dict)
    tmpfs: str = ""
    before: tuple[str, ...] = ()
    is_quiet_in: float = 180.0
