"""The command line: provision brokers, or run one and obey what is said on the standard input."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from brokers import cache, folders, kafka, rabbitmq, tansu
from brokers.kafka import Kafka
from brokers.options import Options
from brokers.process import HOST, Failed, Process, free_port
from brokers.rabbitmq import RabbitMq
from brokers.tansu import Tansu

KINDS = {"rabbitmq": RabbitMq, "tansu": Tansu, "kafka": Kafka}
PROVIDERS = {"rabbitmq": rabbitmq.provide, "tansu": tansu.provide, "kafka": kafka.provide}
VERSIONS = {
    "rabbitmq": "RabbitMQ",
    "tansu": f"Tansu of {tansu.WHEEL} {tansu.VERSION}",
    "kafka": f"Apache Kafka {kafka.VERSION}",
}


def main(arguments: Sequence[str]) -> int:
    # A test runner that ends us by a signal gets the same tidy end as one that closes our input.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    asked = _parse(arguments)
    try:
        if asked.command == "available":
            return 0 if kafka.missing() is None else 1
        return _provision(asked.kinds) if asked.command == "provision" else _run(asked)
    except (cache.Unavailable, Failed, OSError) as error:
        cache.say(f"broker.py: {error}")
        return 1
    except KeyboardInterrupt:
        return 130


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="broker.py", description="real message brokers for the tests")
    commands = parser.add_subparsers(dest="command", required=True)
    provision = commands.add_parser("provision", help="fetch what is not there yet")
    provision.add_argument("kinds", nargs="*", choices=[*KINDS, []])
    available = commands.add_parser("available", help="exit status 0 where Apache Kafka can be had")
    available.add_argument("kind", choices=["kafka"])
    run = commands.add_parser("run", help="run one, and obey lines on the standard input")
    run.add_argument("kind", choices=list(KINDS))
    run.add_argument("--port", type=int)
    run.add_argument("--data", type=Path)
    run.add_argument("--partitions", type=int, default=3)
    run.add_argument("--topic", action="append", default=[], metavar="NAME[:PARTITIONS]")
    run.add_argument("--no-auto-create", action="store_true")
    run.add_argument("--message-bytes", type=int)
    run.add_argument("--sasl", choices=list(kafka.MECHANISMS))
    run.add_argument("--memory-alarm", action="store_true")
    run.add_argument("--stay", action="store_true", help="read no orders: run until SIGTERM")
    for name in ("--tls-cert", "--tls-key", "--tls-ca"):
        run.add_argument(name, type=lambda path: Path(path).resolve())
    return parser.parse_args(arguments)


def _provision(kinds: Sequence[str]) -> int:
    for kind in kinds or KINDS:
        if kind == "kafka" and (lacks := kafka.missing()) is not None:
            cache.say(f"LEFT OUT: Apache Kafka, the tests use Tansu alone: {lacks}")
            continue
        PROVIDERS[kind]()
        cache.say(f"here: {VERSIONS[kind]}")
    return 0


def _run(asked: argparse.Namespace) -> int:
    with _data(asked.data) as data:
        topics = {}
        for topic in asked.topic:
            name, _, partitions = topic.partition(":")
            topics[name] = int(partitions or asked.partitions)
        options = Options(
            port=asked.port or free_port(),
            data=data,
            partitions=asked.partitions,
            topics=topics,
            auto_create=not asked.no_auto_create,
            message_bytes=asked.message_bytes,
            sasl=asked.sasl,
            memory_alarm=asked.memory_alarm,
            tls_cert=asked.tls_cert,
            tls_key=asked.tls_key,
            tls_ca=asked.tls_ca,
        )
        Session(asked.kind, options).serve([] if asked.stay else sys.stdin)
    return 0


@contextlib.contextmanager
def _data(asked: Path | None) -> Iterator[Path]:
    if asked is not None:
        asked.mkdir(parents=True, exist_ok=True)
        yield asked.resolve()
        return
    with folders.own() as folder:
        yield folder


class Session:
    """One broker while somebody holds our standard input."""

    def __init__(self, kind: str, options: Options) -> None:
        self.kind, self.options = kind, options
        self.broker = KINDS[kind](options)
        self.process: Process | None = None

    def serve(self, orders: Iterable[str]) -> None:
        """Runs the broker until the orders end; without any, until a signal."""
        try:
            self.process = self.broker.start()
            _answer({"kind": self.kind, "host": HOST, **self._now(), **self.broker.about()})
            for line in orders:
                if words := line.split():
                    self._obey(words)
            if orders is not sys.stdin:
                signal.pause()
        finally:
            self._end()

    def _now(self) -> dict[str, object]:
        return {"port": self.options.port, "pid": self.process.pid if self.process else None}

    def _obey(self, words: list[str]) -> None:
        try:
            self._do(words)
        except (cache.Unavailable, Failed, OSError) as error:
            _answer({"error": f"{words[0]}: {error}"})
        else:
            _answer({"ok": words[0], **self._now()})

    def _do(self, words: list[str]) -> None:
        match words:
            case ["start"]:
                if self.process is not None and self.process.running:
                    raise Failed("it runs already")
                self.process = self.broker.start()
            case ["kill"]:
                self._running().kill()
            case ["stop"]:
                self._running().stop(30)
            case ["pause"]:
                self._running().signal(signal.SIGSTOP)
            case ["resume"]:
                self._running().signal(signal.SIGCONT)
            case ["topic", name, *partitions] if not isinstance(self.broker, RabbitMq):
                self.broker.topic(name, int(partitions[0]) if partitions else self.options.partitions)
            case ["alarm" | "calm"] if isinstance(self.broker, RabbitMq):
                self.broker.alarm(words == ["alarm"])
            case ["control", *arguments] if isinstance(self.broker, RabbitMq):
                self.broker.control(*arguments)
            case _:
                raise Failed(f"{self.kind} does not know this")

    def _running(self) -> Process:
        if self.process is None or not self.process.running:
            raise Failed("it does not run")
        return self.process

    def _end(self) -> None:
        if self.process is not None:
            self.process.kill()
        if isinstance(self.broker, RabbitMq):
            self.broker.end()


def _answer(answer: dict[str, object]) -> None:
    print(json.dumps(answer), flush=True)
