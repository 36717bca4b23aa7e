"""A Kafka in this process, for the demonstration and for tests: librdkafka's mock cluster.

One broker that keeps nothing: it forgets beyond some 5 MB a partition, takes one member a
group, has no controller, and topics make themselves with four partitions.
https://github.com/confluentinc/librdkafka/blob/master/src/rdkafka_mock.h
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

from bridge.errors import UsageError
from bridge.kafka.cluster import Cluster


class EmbeddedBroker:
    """`with EmbeddedBroker() as cluster`. Raises UsageError where confluent-kafka is missing."""

    def __init__(self) -> None:
        try:
            from confluent_kafka import Producer  # noqa: PLC0415 - an extra that only this needs
        except ImportError as error:
            raise UsageError(
                "The embedded Kafka broker needs confluent-kafka: pip install 'jira-link-bridge[demo]'."
            ) from error
        self._make = Producer
        self._broker: Any = None

    def __enter__(self) -> Cluster:
        self._broker = self._make({"bootstrap.servers": "mock:1", "test.mock.num.brokers": 1, "log_level": 4})
        (broker,) = self._broker.list_topics(timeout=10).brokers.values()
        return Cluster(f"{broker.host}:{broker.port}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The mock cluster ends with the client that it belongs to.
        self._broker = None
