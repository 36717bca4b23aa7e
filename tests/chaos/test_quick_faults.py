"""The quickest of the faults, in the plain run; `make chaos` puts on all of them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from bridge.kafka.cluster import Cluster
from tests.brokers import KafkaProcess, Missing, give_up
from tests.chaos.faults import Fault, perform
from tests.chaos.jira_faults import FAULTS as JIRA
from tests.chaos.kafka_faults import restart
from tests.chaos.process_faults import BUSY, crash
from tests.chaos.setting import Setting

SEED = 5


def crashing(point: str) -> Fault:
    return Fault(f"crash {point}", "processes", "", partial(crash, point=point, deaths=2), BUSY, least=2)


async def withstood(fault: Fault, folder: Path, cluster: Cluster, broker: object) -> None:
    """Put it on; whatever the checker says of it fails the test."""
    try:
        result = await perform(fault, SEED, folder, cluster, broker)
    except Missing as reason:
        give_up(str(reason))
    assert result.problems == [], f"seed {SEED}: {result}"


@pytest.mark.parametrize("point", ["after call", "within merge", "after turn"])
async def test_a_worker_that_dies_at_a_point_loses_nothing(
    real_kafka: Cluster, tmp_path: Path, point: str
) -> None:
    """Twice it kills itself there while events flow; the checker finds every link as it should be."""
    await withstood(crashing(point), tmp_path, real_kafka, None)


@pytest.mark.parametrize("name", ["answers lost at 20 %", "answers cut off"])
async def test_lost_answers_lose_no_link(real_kafka: Cluster, tmp_path: Path, name: str) -> None:
    """Jira does what it is asked and the answer does not come: nothing is written twice for it."""
    (fault,) = (each for each in JIRA if each.name == name)
    await withstood(fault, tmp_path, real_kafka, None)


async def test_a_broker_that_is_killed_loses_no_event(kafka_process: KafkaProcess, tmp_path: Path) -> None:
    """It is started again at once; what was published and what was read stays."""
    inject = partial(restart, times=1, seconds=0)
    fault = Fault("broker killed", "Kafka", "", inject, Setting(rate=100, events=300))
    await withstood(replace(fault, least=1), tmp_path, kafka_process.cluster, kafka_process)
