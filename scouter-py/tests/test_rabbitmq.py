"""RabbitMQ that does not do as it should, as a Python program sees it: nothing blocks, raises or prints, and the reason is told."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from brokers import Broker, fresh_name
from collector.tls import Authority
from support import Server, run_script, until

from scouter import RabbitMQConfig
from scouter.tracing import init_tracer, shutdown_tracer

SECRET = "s3cret-w0rd"
SPANS = 10


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def guarded(authority: Authority) -> Iterator[Broker]:
    """A broker with TLS, a virtual host that users may not enter, and a user who may do nothing."""
    broker = Broker(
        "rabbitmq", "--tls-cert", str(authority.server_certificate_file), "--tls-key", str(authority.server_key_file)
    )
    broker.order("control add_vhost closed")
    broker.order(f"control add_user limited {SECRET}")
    broker.order("control set_permissions limited ^$ ^$ ^$")
    yield broker
    broker.close()


@pytest.fixture
def foreign() -> Iterator[int]:
    """The port of somebody who speaks HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(8)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def login(broker: Broker, **others: Any) -> dict[str, Any]:
    return {"host": broker.host, "port": broker.port, "username": broker.username, "password": broker.password} | others


def destination(tracer: Any) -> dict[str, Any]:
    found: dict[str, Any] = tracer.stats()["destinations"]["scouter"]
    return found


@pytest.mark.parametrize(
    ("case", "words", "reason"),
    [
        ("foreign", "is not AMQP 0-9-1", "refused"),
        ("password", "cannot log in as user `limited`: check user and password", "refused"),
        ("virtual host", "cannot open the virtual host `nowhere` as user `limited`", "refused"),
        ("closed", "cannot open the virtual host `closed` as user `limited`", "refused"),
        ("permission", "is not there and cannot be made", "refused"),
        ("no TLS there", "is this the port without TLS?", "refused"),
        ("wrong authority", "certificate", "refused"),
        ("TLS there", "is this the port of TLS", "refused|shutdown"),
    ],
)
def test_what_is_told(
    case: str, words: str, reason: str, guarded: Broker, foreign: int, caplog: pytest.LogCaptureFixture
) -> None:
    limited = login(guarded, username="limited", password=SECRET, timeout=3)
    config = {
        "foreign": lambda: RabbitMQConfig("127.0.0.1", foreign, timeout=3),
        "password": lambda: RabbitMQConfig(**limited | {"password": f"{SECRET}!"}),
        "virtual host": lambda: RabbitMQConfig(**limited, virtual_host="nowhere"),
        "closed": lambda: RabbitMQConfig(**limited, virtual_host="closed"),
        "permission": lambda: RabbitMQConfig(**limited),
        "no TLS there": lambda: RabbitMQConfig(**limited, tls=True),
        "wrong authority": lambda: RabbitMQConfig(**limited | {"port": guarded.tls_port}, tls=True),
        "TLS there": lambda: RabbitMQConfig(**limited | {"port": guarded.tls_port}),
    }[case]()
    with caplog.at_level(logging.WARNING, "scouter"):
        tracer = init_tracer("shop", transport_config=config)
        begun = time.monotonic()
        for _ in range(SPANS):
            tracer.start_span("work").end()
        assert time.monotonic() - begun < 1
        tracer.flush(500)
        told = until("the reason is known", lambda: destination(tracer)["last_error"])
        begun = time.monotonic()
        tracer.shutdown(1000)
        assert time.monotonic() - begun < 4
    assert words in told
    end = until("every span has met its fate", lambda: (now := destination(tracer))["queued"] == 0 and now)
    assert end["exported"] == 0
    dropped = {name for name, spans in end["dropped"].items() if spans}
    assert dropped, end
    assert dropped <= set(reason.split("|")), end
    assert SECRET not in f"{told} {caplog.text} {config!r}"
    assert len([record for record in caplog.records if "127.0.0.1" in record.getMessage()]) <= 1


def test_tls_with_the_right_authority(guarded: Broker, authority: Authority) -> None:
    config = RabbitMQConfig(**login(guarded, port=guarded.tls_port), queue=fresh_name(), ca_file=authority.ca_file)
    tracer = init_tracer("shop", transport_config=config)
    tracer.start_span("work").end()
    assert tracer.flush(20_000)
    assert destination(tracer)["exported"] == 1


def test_a_broker_that_comes_later_gets_everything(tmp_path: Path) -> None:
    broker = Broker("rabbitmq")
    try:
        broker.order("stop")
        tracer = init_tracer("shop", transport_config=RabbitMQConfig(**login(broker)))
        spans = [tracer.start_span("work") for _ in range(SPANS)]
        for span in spans:
            span.end()
        assert not tracer.flush(500)
        broker.start()
        assert tracer.flush(30_000)
        flags = ["--rabbitmq-host", broker.host, "--rabbitmq-port", str(broker.port)]
        flags += ["--rabbitmq-username", str(broker.username), "--rabbitmq-password", str(broker.password)]
        server = Server(tmp_path / "data", 0, *flags)
        try:
            for span in spans:
                server.trace(span.trace_id, 1)
        finally:
            server.stop()
    finally:
        broker.close()


def test_a_program_ends_in_time_though_the_broker_has_gone(tmp_path: Path) -> None:
    broker = Broker("rabbitmq")
    try:
        script = f"""
        import sys, time
        from scouter import RabbitMQConfig
        from scouter.tracing import init_tracer

        tracer = init_tracer("shop", transport_config=RabbitMQConfig(**{login(broker)!r}))
        tracer.start_span("work").end()
        assert tracer.flush(20_000)
        open("sent", "w").close()
        sys.stdin.read()
        for _ in range(100):
            tracer.start_span("work").end()
        """

        def kill() -> None:
            until("it has sent", (tmp_path / "sent").exists)
            broker.kill()
            go.close()

        killer = threading.Thread(target=kill)
        stdin, writing = os.pipe()
        go = os.fdopen(writing, "w")
        saved = os.dup(0)
        os.dup2(stdin, 0)
        try:
            killer.start()
            begun = time.monotonic()
            done = run_script(tmp_path, script)
            killer.join()
        finally:
            os.dup2(saved, 0)
            os.close(saved)
            os.close(stdin)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert time.monotonic() - begun < 30
    finally:
        broker.close()


def test_nothing_is_left_of_a_tracer_that_was_shut_down(rabbitmq: Broker) -> None:
    def sockets() -> int:
        targets = (Path("/proc/self/fd") / name for name in os.listdir("/proc/self/fd"))
        return sum(1 for target in targets if target.is_symlink() and os.readlink(target).startswith("socket:"))

    def threads() -> int:
        return len(os.listdir("/proc/self/task"))

    shutdown_tracer(2_000)
    before = (sockets(), threads())
    for _ in range(3):
        config = RabbitMQConfig(**login(rabbitmq), queue=fresh_name())
        tracer = init_tracer("shop", transport_config=config)
        tracer.start_span("work").end()
        assert tracer.flush(20_000)
        tracer.shutdown(5_000)
    until("sockets and threads end", lambda: sockets() <= before[0] and threads() <= before[1])
