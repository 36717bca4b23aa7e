"""Kafka: the envelope on the wire, and the clients."""
