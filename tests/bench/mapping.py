"""How many GitHub events a second become changes on one core: `make bench-mapping`.

Each event goes the worker's whole way from a Kafka record to changes: envelope, JSON, source,
mapping, issue keys, link. The bodies are the samples in this repository, or those of real
deliveries in the folder that BRIDGE_PAYLOADS names (files EVENT.NN.ACTION.json). Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

import orjson

from bridge.kafka.envelope import encode
from bridge.mapping.builtin import builtin_mappings
from bridge.mapping.mapper import Mapper, Site
from bridge.model import Record, Webhook
from bridge.pipeline import Pipeline
from tests.deliveries import RECEIVED_AT, SOURCES, deliveries

SITES = [Site("main", frozenset({"DOCK", "PROJ"}))]


def bodies() -> Iterator[tuple[str, bytes]]:
    """The bodies, each with its event's type."""
    folder = os.environ.get("BRIDGE_PAYLOADS")
    if folder:
        yield from (
            (path.name.partition(".")[0], orjson.dumps(orjson.loads(path.read_bytes())))
            for path in sorted(Path(folder).glob("*.json"))
        )
    else:
        yield from ((each.headers["x-github-event"], each.body) for each in deliveries("github"))


def record(type_: str, body: bytes) -> Record:
    """The record that ingress makes of a delivery."""
    kept = {"x-github-event": type_, "x-github-delivery": "d-1", "content-type": "application/json"}
    value, headers = encode(Webhook("main", "github", "d-1", kept, body, RECEIVED_AT))
    return Record("events", 0, 0, int(RECEIVED_AT.timestamp() * 1000), None, value, tuple(headers))


def rate(pipeline: Pipeline, records: list[Record], seconds: float) -> float:
    """Events a second of the processor's time, over so many seconds of it."""
    count, began = 0, time.process_time()
    while time.process_time() - began < seconds:
        for each in records:
            pipeline(replace(each))  # a record of its own, as from Kafka: nothing is remembered of it
        count += len(records)
    return count / (time.process_time() - began)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3, help="seconds a run (default 3)")
    parser.add_argument("--runs", type=int, default=5, help="runs (default 5)")
    args = parser.parse_args()
    os.sched_setaffinity(0, {0})
    pipeline = Pipeline(SOURCES, Mapper(builtin_mappings(), SITES), float("inf"))
    told = list(bodies())
    groups = {
        "all": [record(*each) for each in told],
        "pull_request": [record(*each) for each in told if each[0] == "pull_request"],
    }
    found = {}
    for name, records in groups.items():
        rates = [round(rate(pipeline, records, args.seconds)) for _ in range(args.runs)]
        found[name] = {
            "bodies": len(records),
            "meanBytes": round(sum(len(each.value or b"") for each in records) / len(records)),
            "eventsPerSecond": {"median": median(rates), "min": min(rates), "max": max(rates)},
        }
    print(json.dumps(found, indent=2))  # noqa: T201 - for a script


if __name__ == "__main__":
    main()
