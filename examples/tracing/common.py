"""What the three services have in common: where the others are, how spans are sent, and the life of a service."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from scouter import BatchConfig, GrpcConfig, HttpConfig, KafkaConfig, RabbitMQConfig
from scouter.tracing import ScouterInstrumentor

HELLO_URL = os.environ.get("HELLO_URL", "http://127.0.0.1:8081")
GOODBYE_URL = os.environ.get("GOODBYE_URL", "http://127.0.0.1:8082")

TRANSPORTS = {"http": HttpConfig, "grpc": GrpcConfig, "kafka": KafkaConfig, "rabbitmq": RabbitMQConfig}


def transport() -> HttpConfig | GrpcConfig | KafkaConfig | RabbitMQConfig:
    """The transport that ``SCOUTER_TRANSPORT`` names, to where its variables in the environment say.

    ``SCOUTER_SERVER_URI`` for a server, ``SCOUTER_KAFKA_BROKERS`` and ``SCOUTER_RABBITMQ_HOST`` and their like for a
    broker that a server reads from.
    """
    name = os.environ.get("SCOUTER_TRANSPORT", "http")
    if name not in TRANSPORTS:
        raise SystemExit(f"SCOUTER_TRANSPORT is {name!r}: give one of {', '.join(TRANSPORTS)}")
    return TRANSPORTS[name]()


def service(name: str) -> FastAPI:
    """A service that is traced from its start to its end."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        ScouterInstrumentor().instrument(
            transport_config=transport(),
            batch_config=BatchConfig(scheduled_delay_ms=200),
            attributes={"service.name": name},
        )
        yield
        ScouterInstrumentor().uninstrument()

    # Newer versions of FastAPI would trace requests on their own; here only what the example shows is traced.
    return FastAPI(lifespan=lifespan, telemetry={"tracing": False})
