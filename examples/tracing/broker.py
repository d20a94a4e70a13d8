"""The message broker between the services and the server, where the spans travel through one."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from processes import Processes, clean_environment, wait_for

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "broker.py"
# The transport and the broker that stands for it. Tansu speaks Kafka, and is there at once.
BROKERS = {"kafka": "tansu", "rabbitmq": "rabbitmq"}
# Fetching a broker, the first time, takes longer than starting it.
BROKER_SECONDS = 300.0


@dataclass(frozen=True)
class Told:
    """What a running broker means for the environments of the server and the services."""

    address: str = ""
    server: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, str] = field(default_factory=dict)


def start_broker(processes: Processes, folder: Path, transport: str) -> Told:
    """Starts the broker of a transport that has one, and waits until it answers."""
    kind = BROKERS.get(transport)
    if kind is None:
        return Told()
    command = [sys.executable, str(SCRIPT), "run", kind, "--stay", "--topic", "otlp_spans", "--topic", "otlp_logs"]
    process = processes.start("broker", command, clean_environment(), folder)

    def ready() -> dict[str, Any] | None:
        lines = process.output().splitlines(keepends=True)
        return next((json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")), None)

    about = wait_for("waiting for the broker", ready, BROKER_SECONDS, process)
    address = f"{about['host']}:{about['port']}"
    if transport == "kafka":
        settings = {"KAFKA_BROKERS": address}
    else:
        settings = {
            "RABBITMQ_HOST": about["host"],
            "RABBITMQ_PORT": str(about["port"]),
            "RABBITMQ_USERNAME": about["username"],
            "RABBITMQ_PASSWORD": about["password"],
        }
    # Tansu lets a server that joins wait for half of its session's timeout.
    quick = {"SCOUTER_SERVER_KAFKA_PROPERTY": "session.timeout.ms=4000;heartbeat.interval.ms=1000"}
    return Told(
        address=address,
        server={f"SCOUTER_SERVER_{name}": value for name, value in settings.items()} | quick,
        services={f"SCOUTER_{name}": value for name, value in settings.items()},
    )
