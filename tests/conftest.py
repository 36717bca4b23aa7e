"""Fixtures that stand for real servers, and the word at the end on which of them there were."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from bridge.kafka.cluster import Cluster
from bridge.kafka.embedded import EmbeddedBroker
from tests import brokers

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture
def embedded_broker() -> Iterator[Cluster]:
    """A broker in this process, empty, with topics that make themselves."""
    with EmbeddedBroker() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def real_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A real Kafka that all tests share: each makes topics and groups of its own."""
    try:
        with brokers.kafka(tmp_path_factory.mktemp("kafka")) as cluster:
            yield cluster
    except brokers.Missing as reason:
        brokers.give_up(str(reason))


@pytest.fixture(scope="session")
def kafka_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[brokers.KafkaProcess]:
    """A Kafka that a test may freeze, kill and start again; it leaves it running."""
    try:
        with brokers.KafkaProcess(tmp_path_factory.mktemp("kafka-process")) as process:
            yield process
    except brokers.Missing as reason:
        brokers.give_up(str(reason))


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URI of a real PostgreSQL."""
    try:
        with brokers.postgres(tmp_path_factory.mktemp("postgres")) as uri:
            yield uri
    except brokers.Missing as reason:
        brokers.give_up(str(reason))


@pytest.fixture(scope="session")
def postgres_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[brokers.PostgresProcess]:
    """A PostgreSQL that a test may freeze, kill and start again; it leaves it running."""
    try:
        with brokers.PostgresProcess(tmp_path_factory.mktemp("postgres-process")) as process:
            yield process
    except brokers.Missing as reason:
        brokers.give_up(str(reason))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which servers the tests ran against."""
    for line in brokers.used:
        terminalreporter.write_line(f"server: {line}")
