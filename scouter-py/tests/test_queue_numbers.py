"""The numbers of a queue add up, whatever a program does with it, and whatever the server answers."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from support import Receiver

from scouter import BatchConfig, HttpConfig, MockConfig
from scouter.queue import AgentProfile, CustomProfile, EvalRecord, ScouterQueue
from scouter.tracing import init_tracer

OPERATIONS = ["fits", "does not fit", "wrong kind", "unknown alias", "flush", "shutdown", "stats", "full"]
SPANS = ["none", "sampled", "unsampled", "of the span", "of the unsampled span"]


def sums(queue: ScouterQueue) -> dict[str, Any]:
    """Every equation that the documentation promises."""
    stats = queue.stats()
    records = stats["records"].values()
    for one in records:
        assert one["inserted"] == one["accepted"] + one["sampled_out"] + one["rejected"] + one["turned_away"], stats
    assert stats["started"] == sum(one["accepted"] + one["turned_away"] for one in records), stats
    for destination in stats["destinations"].values():
        dropped = sum(destination["dropped"].values())
        assert stats["started"] == destination["exported"] + destination["queued"] + dropped, stats
        # What was turned away is what was dropped for want of room, or came after the end.
        turned_away = sum(one["turned_away"] for one in records)
        assert turned_away <= dropped, stats
    return stats


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(OPERATIONS), st.sampled_from(SPANS)), max_size=40),
    st.sampled_from([0.0, 0.3, 1.0]),
)
def test_they_add_up_whatever_happens(program: list[tuple[str, str]], ratio: float) -> None:
    sent = MockConfig()
    profiles = [AgentProfile("s", "agent", "1", [{"id": "t"}], sample_ratio=ratio), CustomProfile("s", "n", "1", ["x"])]
    queue = ScouterQueue.from_profile(profiles, sent, BatchConfig(max_queue_size=20, max_export_batch_size=5))
    always = init_tracer(transport_config=MockConfig(), scouter_queue=queue)
    never = init_tracer(transport_config=MockConfig(), sample_ratio=0.0, scouter_queue=queue)
    expected: Counter[str] = Counter()
    for operation, where in program:
        span = (never if "unsampled" in where else always).start_span("work")
        if operation in ("flush", "shutdown", "stats"):
            {"flush": queue.flush, "shutdown": queue.shutdown, "stats": lambda: sums(queue)}[operation]()
            continue
        alias = "nobody" if operation == "unknown alias" else "agent" if operation == "wrong kind" else "n"
        record = {"fits": {"x": 1}, "does not fit": {"y": 1}}.get(operation, EvalRecord({"x": 1}))
        if operation == "full":
            alias, record = "agent", EvalRecord({"x": "x" * 1000})
        elif operation == "wrong kind":
            record = 5
        unknown = contextlib.suppress(KeyError) if alias == "nobody" else contextlib.nullcontext()
        with unknown, trace.use_span(span) if where in ("sampled", "unsampled") else contextlib.nullcontext():
            if where.startswith("of the"):
                span.insert_queue_item(alias, record)
            else:
                queue.insert(alias, record)
        expected[alias] += 1
    stats = sums(queue)
    for alias in ("agent", "n"):
        assert stats["records"][alias]["inserted"] == expected[alias], stats
    queue.shutdown()
    stats = sums(queue)
    (destination,) = stats["destinations"].values()
    accepted = sum(one["accepted"] for one in stats["records"].values())
    assert (destination["exported"], destination["queued"]) == (accepted, 0), stats
    assert len(sent.records) == accepted


def test_one_bad_record_costs_no_other_of_its_batch(receiver: Receiver) -> None:
    """A batch that the server cannot take for now is sent again; one that it refuses is counted, by reason."""
    receiver.statuses[:] = [503, 429, 502]
    batch = BatchConfig(scheduled_delay_ms=3_600_000)
    queue = ScouterQueue.from_profile(CustomProfile("s", "n", "1", ["x"]), HttpConfig(receiver.uri), batch)
    for number in range(50):
        queue["n"].insert({"x": number})
        queue["n"].insert({"x": "none"})
    assert queue.flush(60)
    assert len(receiver.records) == 50
    stats = sums(queue)
    (destination,) = stats["destinations"].values()
    assert (destination["exported"], sum(destination["dropped"].values()), destination["retries"]) == (50, 0, 3)
    receiver.statuses[:] = [401]
    queue["n"].insert({"x": 50})
    assert not queue.flush(20)
    stats = sums(queue)
    (destination,) = stats["destinations"].values()
    dropped = {reason: count for reason, count in destination["dropped"].items() if count}
    assert (destination["exported"], sum(dropped.values()), len(dropped)) == (50, 1, 1), destination
    assert queue.shutdown()
