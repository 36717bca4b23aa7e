"""Which Kafka, and how to log in there: what all of its clients are made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.errors import (
    BrokerResponseError,
    KafkaConnectionError,
    KafkaTimeoutError,
    NodeNotReadyError,
    RequestTimedOutError,
    kafka_errors,
)
from aiokafka.helpers import create_ssl_context

AWAY = (KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError, RequestTimedOutError)
"""What aiokafka raises where no broker answers."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Addresses (`host:port,host:port`) and security of one Kafka cluster.

    `protocol` is PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL; `mechanism` is PLAIN,
    SCRAM-SHA-256 or SCRAM-SHA-512; without `ca_file` (PEM) the system's authorities count.
    """

    bootstrap: str
    protocol: str = "PLAINTEXT"
    mechanism: str = "PLAIN"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments that every client of aiokafka takes. Reads `ca_file`."""
        tls = self.protocol.endswith("SSL")
        return {
            "bootstrap_servers": self.bootstrap,
            "security_protocol": self.protocol,
            "sasl_mechanism": self.mechanism,
            "sasl_plain_username": self.username,
            "sasl_plain_password": self.password,
            "ssl_context": create_ssl_context(cafile=self.ca_file) if tls else None,
        }


class FencedInstanceId(BrokerResponseError):  # type: ignore[misc] # aiokafka's is untyped
    """Another member has joined the group with the same instance id.

    aiokafka cannot tell errors apart whose codes it does not know.
    https://kafka.apache.org/protocol#protocol_error_codes
    """

    errno = 82
    message = "FENCED_INSTANCE_ID"


kafka_errors[FencedInstanceId.errno] = FencedInstanceId


def reason(error: BaseException) -> str:
    """The error's type and text, once: aiokafka's texts begin with the type already."""
    name = type(error).__name__
    return f"{name}: {str(error).removeprefix(name).removeprefix(': ')}".removesuffix(": ")
