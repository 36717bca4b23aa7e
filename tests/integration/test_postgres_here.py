"""A real PostgreSQL answers on this machine."""

from __future__ import annotations

from tests.brokers import psql


def test_postgres_tells_its_version(postgres: str) -> None:
    """The server behind the fixture's URI says that it is PostgreSQL."""
    assert psql(postgres, "SELECT version()").startswith("PostgreSQL ")
