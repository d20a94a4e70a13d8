"""Receivers that misbehave, over both protocols: nothing is raised, printed or blocked, and the other destination gets
everything in the meantime. What became of every span is in the statistics."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from collector.front import Front
from collector.process import free_ports
from collector.scripted import (
    HANG,
    INVALID,
    NO_SENSE,
    SCRIPTED,
    THROTTLED,
    TOO_LARGE,
    UNAUTHENTICATED,
    UNAVAILABLE,
    Say,
    Scripted,
    ScriptedHttp,
    partly,
)
from support import run_script, until
from test_setup import account

from scouter import BatchConfig, GrpcConfig, HttpConfig
from scouter.tracing import GrpcSpanExporter, HttpSpanExporter, OtelExportConfig, TracerProvider

SOON = BatchConfig(scheduled_delay_ms=1)
WHEN_FLUSHED = BatchConfig(scheduled_delay_ms=3_600_000)


@pytest.fixture(params=["http", "grpc"])
def protocol(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def bad(protocol: str) -> Iterator[Scripted]:
    receiver = SCRIPTED[protocol]()
    yield receiver
    receiver.close()


@pytest.fixture
def good() -> Iterator[Scripted]:
    receiver = ScriptedHttp()
    yield receiver
    receiver.close()


@pytest.fixture
def front(bad: Scripted) -> Iterator[Front]:
    front = Front(bad.port)
    yield front
    front.close()


def two_destinations(
    good: Scripted, bad_uri: str, protocol: str, bad_is: str = "otel", batch: BatchConfig = SOON, **options: Any
) -> TracerProvider:
    """A provider whose ``bad_is`` destination (``scouter`` or ``otel``) is at ``bad_uri``."""
    if bad_is == "otel":
        exporter = {"http": HttpSpanExporter, "grpc": GrpcSpanExporter}[protocol]
        return TracerProvider(
            transport_config=HttpConfig(good.uri),
            exporter=exporter(export_config=OtelExportConfig(endpoint=bad_uri, **options)),
            batch_config=batch,
        )
    transport = {"http": HttpConfig, "grpc": GrpcConfig}[protocol]
    return TracerProvider(
        transport_config=transport(uri=bad_uri, **options),
        exporter=HttpSpanExporter(export_config=OtelExportConfig(endpoint=good.uri)),
        batch_config=batch,
    )


def of(provider: TracerProvider, destination: str) -> dict[str, Any]:
    return provider.stats()["destinations"][destination]


def dropped(provider: TracerProvider, destination: str = "otel") -> dict[str, int]:
    """How many were lost, by reason, without the reasons that took none."""
    return {reason: count for reason, count in of(provider, destination)["dropped"].items() if count}


def record(provider: TracerProvider, *names: str) -> None:
    tracer = provider.get_tracer("x")
    for name in names:
        tracer.start_span(name).end()


class TestWhatPasses:
    """Trouble after which the same spans are sent again, and arrive once."""

    @pytest.mark.parametrize("bad_is", ["otel", "scouter"])
    @pytest.mark.parametrize("say", [UNAVAILABLE, THROTTLED, HANG], ids=["503", "429", "hang"])
    def test_answers(
        self, good: Scripted, bad: Scripted, protocol: str, say: Say, bad_is: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        bad.script += [say]
        # Long enough for a busy machine where an answer comes.
        provider = two_destinations(good, bad.uri, protocol, bad_is, timeout=1.0 if say.hang else 20.0)
        record(provider, "a")
        until("the good one has it", lambda: good.names == ["a"])
        assert provider.force_flush(20_000)
        assert bad.names == ["a"]
        assert len(bad.attempts) == 2
        found = of(provider, bad_is)
        assert (found["exported"], found["requests"], found["retries"]) == (1, 2, 1)
        assert found["last_error"]
        assert dropped(provider, bad_is) == {}
        record(provider, "afterwards")
        assert provider.force_flush(20_000)
        assert bad.names == good.names == ["a", "afterwards"]
        assert account(provider.stats()) == {2}
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize("fault", ["reset", "close", "cut", "stall"])
    def test_connections(self, good: Scripted, bad: Scripted, front: Front, protocol: str, fault: str) -> None:
        front.faults += [fault]
        provider = two_destinations(good, front.uri, protocol, timeout=1.0 if fault == "stall" else 20.0)
        record(provider, "a")
        until("the good one has it", lambda: good.names == ["a"])
        assert provider.force_flush(20_000), provider.stats()
        # Who cuts an answer off has taken the request, over HTTP: it comes again, as the sender cannot know.
        assert set(bad.names) == {"a"}
        assert (of(provider, "otel")["exported"], dropped(provider)) == (1, {})
        assert of(provider, "otel")["retries"] >= 1
        assert account(provider.stats()) == {1}

    def test_one_that_is_not_there_yet(self, good: Scripted, protocol: str) -> None:
        (port,) = free_ports(1)
        provider = two_destinations(good, f"http://127.0.0.1:{port}", protocol)
        record(provider, *map(str, range(100)))
        until("the good one has them", lambda: len(good.names) == 100)
        until("the other was tried", lambda: of(provider, "otel")["last_error"])
        late = SCRIPTED[protocol](port)
        assert provider.force_flush(30_000)
        assert sorted(late.names, key=int) == [str(at) for at in range(100)]
        assert account(provider.stats()) == {100}
        late.close()

    def test_the_time_that_is_asked_for_is_waited(self, good: Scripted, bad: Scripted, protocol: str) -> None:
        bad.script += [THROTTLED]
        provider = two_destinations(good, bad.uri, protocol)
        record(provider, "a")
        assert provider.force_flush(20_000)
        first, second = bad.times
        assert second - first >= {"http": 1.0, "grpc": THROTTLED.delay}[protocol]

    def test_a_long_trouble_while_spans_keep_coming(self, good: Scripted, bad: Scripted, protocol: str) -> None:
        bad.always = UNAVAILABLE
        provider = two_destinations(good, bad.uri, protocol, batch=BatchConfig(max_export_batch_size=50))
        record(provider, *map(str, range(1000)))
        until("the good one has all", lambda: len(good.names) == 1000)
        assert of(provider, "otel")["queued"] == 1000
        assert account(provider.stats()) == {1000}
        until("several tries", lambda: of(provider, "otel")["retries"] > 4)
        bad.always = None
        assert provider.force_flush(30_000)
        assert sorted(bad.names, key=int) == [str(at) for at in range(1000)]
        assert (of(provider, "otel")["queued"], dropped(provider)) == (0, {})


class TestWhatDoesNotPass:
    """Trouble after which spans are lost, and counted by reason for this destination alone."""

    @pytest.mark.parametrize("bad_is", ["otel", "scouter"])
    @pytest.mark.parametrize("say", [INVALID, UNAUTHENTICATED], ids=["400", "401"])
    def test_a_refusal_is_not_tried_again(
        self, good: Scripted, bad: Scripted, protocol: str, say: Say, bad_is: str
    ) -> None:
        bad.script += [say]
        provider = two_destinations(good, bad.uri, protocol, bad_is, batch=WHEN_FLUSHED)
        record(provider, "a", "b")
        assert provider.force_flush(20_000) is False
        record(provider, "c")
        assert provider.force_flush(20_000)
        assert bad.names == ["c"]
        assert good.names == ["a", "b", "c"]
        assert len(bad.attempts) == 2
        assert dropped(provider, bad_is) == {"refused": 2}
        assert say.message in of(provider, bad_is)["last_error"]
        assert account(provider.stats()) == {3}

    def test_a_request_that_is_too_large_is_halved_once(self, good: Scripted, bad: Scripted, protocol: str) -> None:
        bad.script += [TOO_LARGE]
        provider = two_destinations(good, bad.uri, protocol, batch=WHEN_FLUSHED)
        record(provider, *map(str, range(8)))
        assert provider.force_flush(20_000)
        assert bad.names == [str(at) for at in range(8)]
        assert [_size(request) for request in bad.attempts] == [8, 4, 4]
        bad.always = TOO_LARGE
        record(provider, *map(str, range(8)))
        assert provider.force_flush(20_000) is False
        assert [_size(request) for request in bad.attempts[3:]] == [8, 4, 4]
        assert dropped(provider) == {"too_large": 8}
        assert len(good.names) == 16
        assert account(provider.stats()) == {16}

    def test_a_part_that_is_rejected(self, good: Scripted, bad: Scripted, protocol: str) -> None:
        bad.script += [partly(3, "three are too old")]
        provider = two_destinations(good, bad.uri, protocol, batch=WHEN_FLUSHED)
        record(provider, *map(str, range(10)))
        provider.force_flush(20_000)
        assert len(bad.attempts) == 1
        assert (of(provider, "otel")["exported"], dropped(provider)) == (7, {"rejected": 3})
        assert account(provider.stats()) == {10}
        assert "three are too old" in of(provider, "otel")["last_error"]

    def test_an_answer_without_sense_harms_nobody(self, good: Scripted, bad: Scripted, protocol: str) -> None:
        """A page is no answer of an OTLP receiver, whatever its status. A message that nobody understands is one of gRPC."""
        bad.script += [NO_SENSE]
        provider = two_destinations(good, bad.uri, protocol, batch=WHEN_FLUSHED)
        record(provider, "a")
        assert provider.force_flush(20_000) is (protocol == "grpc")
        record(provider, "b")
        assert provider.force_flush(20_000)
        assert [_size(request) for request in bad.attempts] == [1, 1]
        assert dropped(provider) == ({} if protocol == "grpc" else {"refused": 1})
        assert bad.names == good.names == ["a", "b"]
        assert account(provider.stats()) == {2}

    def test_an_endless_answer_is_not_read_to_its_end(self, good: Scripted, bad: Scripted, protocol: str) -> None:
        bad.script += [Say(body=bytes(5 << 20))]
        provider = two_destinations(good, bad.uri, protocol)
        record(provider, "a")
        provider.force_flush(20_000)
        record(provider, "b")
        assert provider.force_flush(20_000)
        assert bad.names[-1] == "b"
        assert sorted(good.names) == ["a", "b"]
        assert account(provider.stats()) == {2}

    @pytest.mark.parametrize(
        "answer", [b"\x00\xff\x00" * 100, b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"]
    )
    def test_something_else_listens_there(
        self, good: Scripted, bad: Scripted, front: Front, protocol: str, answer: bytes
    ) -> None:
        front.faults += [answer]
        provider = two_destinations(good, front.uri, protocol, timeout=1.0)
        record(provider, "a")
        provider.force_flush(20_000)
        record(provider, "b")
        assert provider.force_flush(20_000), provider.stats()
        assert bad.names[-1] == "b"
        assert good.names == ["a", "b"]
        assert account(provider.stats()) == {2}


class TestItIsNotFelt:
    def test_a_receiver_that_hangs_slows_nothing(self, good: Scripted, bad: Scripted, protocol: str) -> None:
        bad.always = HANG
        provider = two_destinations(good, bad.uri, protocol, batch=BatchConfig(max_export_batch_size=100))
        slowest, started = 0.0, time.perf_counter()
        for at in range(5000):
            before = time.perf_counter()
            record(provider, str(at))
            slowest = max(slowest, time.perf_counter() - before)
        assert time.perf_counter() - started < 5
        assert slowest < 1
        until("the good one has all", lambda: len(good.names) == 5000)
        before = time.monotonic()
        assert provider.force_flush(200) is False
        assert provider.shutdown(200) is False
        assert time.monotonic() - before < 3
        until("all are counted", lambda: dropped(provider) == {"shutdown": 5000}, seconds=5)
        assert account(provider.stats()) == {5000}

    def test_a_flush_that_ran_out_of_time_counts_nothing_twice(
        self, good: Scripted, bad: Scripted, protocol: str
    ) -> None:
        bad.script += [HANG]
        provider = two_destinations(good, bad.uri, protocol, batch=WHEN_FLUSHED, timeout=1.0)
        record(provider, "a", "b", "c")
        for _ in range(3):
            before = time.monotonic()
            assert provider.force_flush(50) is False
            assert time.monotonic() - before < 1
            assert of(provider, "otel")["queued"] == 3
            assert account(provider.stats()) == {3}
        assert provider.force_flush(20_000)
        assert bad.names == good.names == ["a", "b", "c"]
        assert (of(provider, "otel")["exported"], of(provider, "scouter")["exported"]) == (3, 3)
        assert account(provider.stats()) == {3}

    def test_the_log_says_what_goes_wrong_once_and_tells_no_secret(
        self, bad: Scripted, protocol: str, tmp_path: Path
    ) -> None:
        bad.always = Say(INVALID.http, INVALID.code, message="not for s3cret-t0ken nor s3cret-key")
        log = tmp_path / "log"
        result = run_script(tmp_path, LOGGED, bad.uri, protocol, str(log))
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
        assert bad.metadata[0]["x-api-key"] == "s3cret-key"
        assert bad.metadata[0]["authorization"] == "Bearer s3cret-t0ken"
        assert len(bad.attempts) == 21
        told = log.read_text()
        assert (told.count("not for"), told.count("\n")) == (1, 1)
        assert "s3cret" not in told


LOGGED = """
import logging, sys
from scouter import BatchConfig, GrpcConfig, HttpConfig
from scouter.tracing import TracerProvider

uri, protocol, log = sys.argv[1:]
logging.basicConfig(filename=log, level=logging.DEBUG)
config = {"http": HttpConfig, "grpc": GrpcConfig}[protocol]
provider = TracerProvider(
    transport_config=config(uri=uri, auth_token="s3cret-t0ken", headers={"x-api-key": "s3cret-key"}),
    batch_config=BatchConfig(scheduled_delay_ms=3_600_000),
)
for _ in range(21):
    provider.get_tracer("x").start_span("a").end()
    provider.force_flush(20_000)
stats = provider.stats()
assert "not for" in stats["destinations"]["scouter"]["last_error"], stats
assert "s3cret" not in repr((stats, provider)), stats
"""


def _size(request: Any) -> int:
    return sum(len(scope.spans) for of_resource in request.resource_spans for scope in of_resource.scope_spans)
