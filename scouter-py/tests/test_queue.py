"""Queues in one process: records get through with their span's ids, and what does not fit is counted and told."""

from __future__ import annotations

import dataclasses
import enum
import gc
import logging
import threading
import weakref
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from pydantic import BaseModel

from scouter import MockConfig, UnknownAliasError
from scouter.queue import (
    AgentProfile,
    CustomProfile,
    EvalRecord,
    Feature,
    Features,
    FeatureSpec,
    Metric,
    Metrics,
    PsiProfile,
    ScouterQueue,
    SpcProfile,
)
from scouter.tracing import instrument

FEATURES = SpcProfile("shop", "model", "1.0.0", {"age": int, "income": float, "city": str, "member": bool}, uid="u-spc")
METRICS = CustomProfile("shop", "basket", "1.0.0", ["cost", "size"], uid="u-custom")
AGENT = AgentProfile("shop", "agent", "1.0.0", [{"id": "polite"}], uid="u-agent")
FIT = {"age": 30, "income": 12.5, "city": "Rome", "member": True}


@pytest.fixture
def sent() -> MockConfig:
    return MockConfig()


@pytest.fixture
def queue(sent: MockConfig) -> Iterator[ScouterQueue]:
    queue = ScouterQueue.from_profile([FEATURES, METRICS, AGENT], transport_config=sent, service_name="tests")
    yield queue
    assert queue.shutdown(10)
    check(queue)


def check(queue: ScouterQueue) -> None:
    """The numbers of the way in and of the way out fit each other."""
    stats = queue.stats()
    for records in stats["records"].values():
        ways = ("accepted", "sampled_out", "rejected", "turned_away")
        assert records["inserted"] == sum(records[way] for way in ways), stats
    let_in = sum(records["accepted"] + records["turned_away"] for records in stats["records"].values())
    assert stats["started"] == let_in, stats
    for destination in stats["destinations"].values():
        fates = destination["exported"] + destination["queued"] + sum(destination["dropped"].values())
        assert stats["started"] == fates, stats


def arrived(queue: ScouterQueue, sent: MockConfig) -> list[dict[str, Any]]:
    assert queue.flush(10)
    return sent.records


def bodies(queue: ScouterQueue, sent: MockConfig) -> list[Any]:
    return [record["body"] for record in arrived(queue, sent)]


def rejected(queue: ScouterQueue, alias: str, record: object, caplog: pytest.LogCaptureFixture) -> str:
    """The one warning about a record that does not fit."""
    before = queue[alias].stats()
    caplog.clear()
    with caplog.at_level(logging.WARNING, "scouter"):
        queue[alias].insert(record)
    after = queue[alias].stats()
    assert (after["rejected"], after["accepted"]) == (before["rejected"] + 1, before["accepted"])
    messages = [entry.getMessage() for entry in caplog.records]
    assert len(messages) <= 1
    return "".join(messages)


def test_a_record_is_an_otlp_log_record(queue: ScouterQueue, sent: MockConfig) -> None:
    queue["model"].insert(Features(FIT))
    (record,) = arrived(queue, sent)
    assert (record["event_name"], record["kind"], record["service_name"]) == ("scouter.record.spc", "spc", "tests")
    assert record["body"] == FIT
    entity = {"uid": "u-spc", "space": "shop", "name": "model", "version": "1.0.0", "alias": "model"}
    assert record["entity"] == entity
    assert (record["trace_id"], record["span_id"]) == (None, None)
    # Another tool reads the same.
    (request,) = [ExportLogsServiceRequest.FromString(body) for body in sent.record_requests]
    (log,) = request.resource_logs[0].scope_logs[0].log_records
    values = {entry.key: entry.value.WhichOneof("value") for entry in log.body.kvlist_value.values}
    assert values == {"age": "int_value", "income": "double_value", "city": "string_value", "member": "bool_value"}
    assert sent.requests == []


@pytest.mark.parametrize(
    "record",
    [
        Features(FIT),
        Features([Feature(name, value) for name, value in FIT.items()]),
        FIT,
        [Feature(name, value) for name, value in FIT.items()],
        Features(
            [
                Feature.int("age", 30.0),
                Feature.float("income", Decimal("12.5")),
                Feature.string("city", "Rome"),
                Feature("member", True),
            ]
        ),
        {"age": np.int64(30), "income": np.float32(12.5), "city": np.str_("Rome"), "member": np.bool_(True)},
    ],
    ids=["features", "list", "dict", "list-of-feature", "typed", "numpy"],
)
def test_features_in_every_form(queue: ScouterQueue, sent: MockConfig, record: object) -> None:
    queue["model"].insert(record)
    assert bodies(queue, sent) == [FIT]


def test_models_dataclasses_and_enumerations(queue: ScouterQueue, sent: MockConfig) -> None:
    class City(enum.Enum):
        ROME = "Rome"

    class Model(BaseModel):
        age: int
        income: float
        city: City
        member: bool

    @dataclasses.dataclass
    class Data:
        age: int
        income: float
        city: str
        member: bool

    queue["model"].insert(Model(age=30, income=12.5, city=City.ROME, member=True))
    queue["model"].insert(Data(30, 12.5, "Rome", True))
    queue["model"].insert(Features(Model(age=30, income=12.5, city=City.ROME, member=True)))
    queue["agent"].insert(Model(age=30, income=12.5, city=City.ROME, member=True))
    queue["agent"].insert(EvalRecord(Data(30, 12.5, "Rome", True)))
    assert bodies(queue, sent) == [FIT] * 5


def test_metrics(queue: ScouterQueue, sent: MockConfig) -> None:
    for record in (
        Metrics({"cost": 12.5, "size": 3}),
        Metrics([Metric("cost", 12.5), Metric("size", 3)]),
        {"cost": Decimal("12.5"), "size": np.uint8(3)},
        Metric("cost", 1),
        {"cost": 1.0, "size": None},
    ):
        queue.insert("basket", record)
    both = {"cost": 12.5, "size": 3.0}
    assert bodies(queue, sent) == [both, both, both, {"cost": 1.0}, {"cost": 1.0}]


def test_evaluation_records(queue: ScouterQueue, sent: MockConfig) -> None:
    context = {"question": "why?", "answers": [{"text": "because", "score": 0.5}, None], "big": 2**40, "bigger": 2**70}
    queue["agent"].insert(EvalRecord(context, id="r-1", session_id="s-1", tags={"env": "prod", "try": 2}))
    queue["agent"].insert({"question": "how?"})
    first, second = arrived(queue, sent)
    assert first["body"] == {**context, "bigger": str(2**70)}
    assert (first["record_id"], first["session_id"]) == ("r-1", "s-1")
    assert first["tags"] == {"env": "prod", "try": "2"}
    assert (second["body"], second["record_id"], second["tags"]) == ({"question": "how?"}, None, {})


class TestWhatDoesNotFit:
    """Nothing is raised; it is counted, and the warning names the record, the field, and both sides."""

    @pytest.mark.parametrize(
        ("alias", "record", "words"),
        [
            ("model", {**FIT, "age": "old"}, 'Features does not fit the profile "model": feature "age": expected int'),
            ("model", {**FIT, "age": None}, 'feature "age": expected int, got nothing'),
            ("model", {"age": 1}, 'feature "income": expected float, got nothing'),
            ("model", {**FIT, "income": float("nan")}, 'feature "income": expected float, finite, got float NaN'),
            ("model", {**FIT, "age": 10**30}, 'feature "age": expected int, got float 1e30'),
            ("model", {**FIT, "city": ["Rome"]}, 'feature "city": expected a number, text or a truth value, got a v'),
            ("model", {**FIT, "other": 1}, 'feature "other": expected one of the features of the profile (age, income'),
            ("model", {1: 2}, "name of a feature: expected text, got a value of type int"),
            ("model", Metrics({"cost": 1}), 'Metrics does not fit the profile "model": record: expected Features'),
            ("model", 5, "record: expected Features, or a dict of names and values, got a value of type int"),
            ("model", None, "record: expected Features, or a dict of names and values, got nothing"),
            ("model", "text", "record: expected Features, or a dict of names and values, got a value of type str"),
            ("model", [1, 2], "record: expected Features"),
            ("basket", {"cost": "12"}, 'metric "cost": expected a number, got a value of type str'),
            ("basket", {"cost": True}, 'metric "cost": expected a number, got a value of type bool'),
            ("basket", {}, "metrics: expected at least one, got none"),
            ("basket", {"cost": float("inf")}, 'metric "cost": expected a finite number, got inf'),
            ("agent", EvalRecord("text"), "context: expected an object, got text"),
            ("agent", EvalRecord({}, tags=["a"]), "tags: expected a dict of names and texts, got a value of type list"),
            ("agent", EvalRecord({}, id="x" * 5000), "id: expected at most 4096 bytes, got 5000"),
            ("agent", [1], "record: expected an EvalRecord, or a dict as its context, got a value of type list"),
            (
                "agent",
                EvalRecord({"a": "x" * 600_000}),
                "context: expected at most 524288 characters of JSON, got more",
            ),
        ],
        ids=str,
    )
    def test_is_told(
        self, sent: MockConfig, caplog: pytest.LogCaptureFixture, alias: str, record: object, words: str
    ) -> None:
        # An alias of its own, so that this message is news.
        own = f"{alias}-{abs(hash(words))}"
        profile = {"model": FEATURES, "basket": METRICS, "agent": AGENT}[alias]
        with ScouterQueue.from_profile({own: profile}, transport_config=sent) as queue:
            message = rejected(queue, own, record, caplog)
            assert words.replace(f'"{alias}"', f'"{own}"') in message
            assert arrived(queue, sent) == []

    def test_is_told_once_a_minute_and_costs_no_other_record(
        self, queue: ScouterQueue, sent: MockConfig, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING, "scouter"):
            for number in range(100):
                queue["model"].insert({**FIT, "city": number})
                queue["model"].insert(FIT)
        assert len(caplog.records) <= 1
        assert len(bodies(queue, sent)) == 100
        assert queue["model"].stats()["rejected"] == 100

    def test_names_of_the_records_own_are_no_news(self, sent: MockConfig, caplog: pytest.LogCaptureFixture) -> None:
        """They would fill the log, and keep what is news out of it."""
        with ScouterQueue.from_profile({"many names": FEATURES, "many tags": AGENT}, transport_config=sent) as queue:
            with caplog.at_level(logging.WARNING, "scouter"):
                for number in range(1000):
                    queue["many names"].insert({**FIT, f"name {number}": 1})
                    queue["many tags"].insert(EvalRecord({}, tags={f"name {number}": "x" * 5000}))
                # Of another sort, so it is told.
                queue["many names"].insert({**FIT, "age": "old"})
            messages = [record.getMessage() for record in caplog.records]
            assert len(messages) == 3
            assert [word in message for word, message in zip(("name 0", "name 0", "age"), messages, strict=True)] == [
                True
            ] * 3

    def test_objects_that_fight_back(self, queue: ScouterQueue, sent: MockConfig) -> None:
        class Fierce:
            def __str__(self) -> str:
                raise RuntimeError("no")

            __repr__ = __float__ = __index__ = __str__

        class FierceDict(dict):  # type: ignore[type-arg]
            def items(self) -> Any:
                raise RuntimeError("no")

        class FierceModel(BaseModel):
            def model_dump(self, **_: Any) -> Any:
                raise RuntimeError("no")

        cycle: dict[str, Any] = {}
        cycle["self"] = cycle
        deep: list[Any] = []
        for _ in range(500):
            deep = [deep]
        for record in (Fierce(), FierceModel(), {"age": Fierce()}, {Fierce(): 1}, FierceDict(age=1)):
            queue["model"].insert(record)
            queue["basket"].insert(record)
        assert queue["model"].stats()["rejected"] == queue["basket"].stats()["rejected"] == 5
        for context in ({"a": Fierce()}, cycle, {"deep": deep}, {"a": b"\xff", "b": {1, 2}, "c": "\ud800", 5: 6}):
            queue["agent"].insert(EvalRecord(context, id=Fierce(), tags={"a": Fierce()}))
        stats = queue["agent"].stats()
        assert stats["accepted"] + stats["rejected"] == 4
        assert stats["accepted"] >= 3
        assert {"self": "<cycle>"} in bodies(queue, sent)

    def test_an_interrupt_goes_on_to_the_program(self, queue: ScouterQueue) -> None:
        class Interrupted:
            def __str__(self) -> str:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            queue["agent"].insert(EvalRecord({"a": 1}, id=Interrupted()))
        queue["agent"].insert(EvalRecord({"a": 1}))


class TestAliases:
    def test_an_unknown_one_names_those_that_are_known(self, queue: ScouterQueue) -> None:
        for ask in (lambda: queue["modle"], lambda: queue.insert("modle", FIT), lambda: queue[""]):
            with pytest.raises(KeyError) as caught:
                ask()
            assert isinstance(caught.value, UnknownAliasError)
        with pytest.raises(UnknownAliasError, match='no queue has the alias "modle": known are "agent", "basket"'):
            queue["modle"]

    def test_it_reads_like_a_mapping(self, queue: ScouterQueue) -> None:
        assert list(queue) == queue.aliases == ["agent", "basket", "model"]
        assert ("model" in queue, "modle" in queue, 5 in queue, len(queue)) == (True, False, False, 3)
        assert (queue["model"].alias, queue["model"].profile.uid) == ("model", "u-spc")
        assert repr(queue) == "ScouterQueue(['agent', 'basket', 'model'])"
        assert repr(queue["model"]) == 'RecordQueue("model")'

    def test_an_alias_of_the_programs_own(self, sent: MockConfig, tmp_path: Path) -> None:
        FEATURES.save(tmp_path / "profile.json")
        with ScouterQueue.from_path(path={"mine": tmp_path / "profile.json"}, transport_config=sent) as queue:
            queue["mine"].insert(FIT)
            assert [record["entity"]["alias"] for record in arrived(queue, sent)] == ["mine"]
        with ScouterQueue.from_path(path=tmp_path / "profile.json", transport_config=sent) as queue:
            assert queue.aliases == ["model"]
        with ScouterQueue.from_path([str(tmp_path / "profile.json")], transport_config=sent) as queue:
            assert queue.aliases == ["model"]


class TestLife:
    def test_a_queue_that_has_ended_turns_records_away(self, sent: MockConfig) -> None:
        queue = ScouterQueue.from_profile(FEATURES, transport_config=sent)
        queue["model"].insert(FIT)
        assert queue.shutdown()
        assert queue.shutdown()
        queue["model"].insert(FIT)
        assert queue["model"].stats()["turned_away"] == 1
        assert len(sent.records) == 1
        check(queue)

    def test_copies_for_tests(self, queue: ScouterQueue) -> None:
        queue["model"].insert(FIT)
        queue.enable_capture()
        queue["basket"].insert({"cost": 1})
        queue["agent"].insert(EvalRecord({"a": 1}, id="x"))
        first, second = sorted(queue.drain_records(), key=lambda record: record.kind or "")
        assert (first.kind, first.record_id, first.body, first.tags) == ("agent", "x", {"a": 1}, {})
        assert (second.entity and second.entity.uid, second.body) == ("u-custom", {"cost": 1.0})
        assert queue.drain_records() == []
        queue.disable_capture()
        queue["basket"].insert({"cost": 1})
        assert queue.drain_records() == []
        queue.enable_capture(limit=1)
        for _ in range(3):
            queue["basket"].insert({"cost": 1})
        assert len(queue.drain_records()) == 1
        assert queue.stats()["capture"] == {"enabled": True, "dropped": 2}

    def test_many_threads(self, queue: ScouterQueue, sent: MockConfig) -> None:
        def insert(thread: int) -> None:
            for number in range(2000):
                queue["agent"].insert(EvalRecord({"thread": thread, "number": number}))

        threads = [threading.Thread(target=insert, args=(thread,)) for thread in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = [(body["thread"], body["number"]) for body in bodies(queue, sent)]
        assert len(found) == len(set(found)) == 16_000

    def test_records_and_queues_are_collected(self) -> None:
        queue = ScouterQueue.from_profile(AGENT, transport_config=MockConfig())
        gone = weakref.ref(queue)
        part = queue["agent"]
        context: dict[str, Any] = {}
        context["record"] = EvalRecord(context)
        context["features"] = Features({"a": context})
        context["feature"] = Feature("a", context)

        class Seen:
            pass

        context["seen"] = Seen()
        seen = weakref.ref(context["seen"])
        part.insert(context["record"])
        del context, queue
        gc.collect()
        assert (seen(), gone()) == (None, None)
        # Its part lives on.
        part.insert({"a": 1})
        assert part.stats()["accepted"] == 2

    def test_a_disabled_sdk_does_nothing(self, monkeypatch: pytest.MonkeyPatch, sent: MockConfig) -> None:
        monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
        queue = ScouterQueue.from_profile(FEATURES, transport_config=sent)
        queue["model"].insert(FIT)
        queue["model"].insert(5)
        queue.enable_capture()
        assert (queue.drain_records(), queue.stats(), sent.records) == ([], {}, [])
        with pytest.raises(KeyError):
            queue["modle"]
        assert queue.flush()
        assert queue.shutdown()

    def test_it_describes_the_process_as_the_tracer_does(self, sent: MockConfig) -> None:
        instrument(transport_config=MockConfig(), attributes={"service.name": "shop", "service.version": "7"})
        with ScouterQueue.from_profile(FEATURES, transport_config=sent) as queue:
            queue["model"].insert(FIT)
        with ScouterQueue.from_profile(FEATURES, sent, attributes={"service.name": "own", "team": "a"}) as queue:
            queue["model"].insert(FIT)
        with ScouterQueue.from_profile(FEATURES, sent, service_name="third") as queue:
            queue["model"].insert(FIT)
        # Every key is there once, whatever was said where.
        for body in sent.record_requests:
            (logs,) = ExportLogsServiceRequest.FromString(body).resource_logs
            keys = [attribute.key for attribute in logs.resource.attributes]
            assert len(keys) == len(set(keys)), keys
        first, second, third = sent.records
        assert (third["service_name"], third["resource"]["service.version"]) == ("third", "7")
        assert (first["service_name"], first["resource"]["service.version"]) == ("shop", "7")
        assert (second["service_name"], second["resource"]["team"]) == ("own", "a")


def test_limits_are_of_spc_and_bins_of_psi() -> None:
    spc = SpcProfile(
        "s", "n", "1", [FeatureSpec("x", float, limits=(0, -1, 1)), FeatureSpec("y", "text", required=False)]
    )
    assert spc.features[0] == FeatureSpec("x", "float", limits=(0.0, -1.0, 1.0))
    psi = PsiProfile("s", "n", "1", [FeatureSpec("x", float, bins=[0.1, 0.2]), FeatureSpec("y", str, categories=["a"])])
    assert [spec.bins or spec.categories for spec in psi.features] == [[0.1, 0.2], ["a"]]
