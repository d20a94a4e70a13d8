"""The web page in a real browser, over a real server: what it shows, what it never runs, and how it asks for a token."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright
from support import Server

from scouter import HttpConfig, RecordFilters, ScouterClient
from scouter.queue import AgentProfile, EvalRecord, ScouterQueue
from scouter.tracing import init_tracer, shutdown_tracer

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "browser.py"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]

SHOP, BANK = "5b8efff798038103d269b633813fc60c", "0af7651916cd43dd8448eb211c80319c"
HOSTILE = "4bf92f3577b34da6a3ce929d0e0e4736"
BEGIN = 1_700_000_000_000_000_000
SCRIPTED = "</title></code><script>window.owned = 1</script><img src=x onerror='window.owned = 2'>"
NASTY = [
    SCRIPTED,
    "\"'`><svg onload=window.owned=3>",
    "javascript:window.owned=4",
    "{{constructor.constructor('window.owned=5')()}}",
    "\u202egnp.exe \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "a\u0000b\u0001c\n\ttab",
    "long " * 2_000,
    "__proto__",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = subprocess.run([sys.executable, str(SCRIPT)], stdout=subprocess.PIPE, text=True, check=True)
    about = json.loads(found.stdout)
    env = {name: value for name, value in os.environ.items() if name not in ("LD_LIBRARY_PATH",)}
    if about["libraries"]:
        env["LD_LIBRARY_PATH"] = about["libraries"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=about["program"], headless=True, args=FLAGS, env=env)
        yield browser
        browser.close()


class Visit:
    """One tab, and everything that went wrong in it."""

    def __init__(self, browser: Browser, server: Server) -> None:
        self.page: Page = browser.new_page(base_url=server.uri, viewport={"width": 1400, "height": 900})
        self.page.set_default_timeout(10_000)
        self.problems: list[str] = []
        self.asked: list[Request] = []
        self.page.on("pageerror", lambda error: self.problems.append(f"{error}"))
        self.page.on("console", lambda said: said.type == "error" and self.problems.append(said.text))
        self.page.on("request", lambda request: self.asked.append(request))
        self.page.on("dialog", lambda dialog: self.problems.append(f"a dialog: {dialog.message}"))

    def __getitem__(self, testid: str) -> Any:
        return self.page.get_by_test_id(testid)

    def go(self, path: str) -> None:
        self.page.goto(path)

    def row(self, span_id: str) -> Any:
        return self.page.locator(f'[data-testid="span-row"][data-span-id="{span_id}"]')


@pytest.fixture
def visit(browser: Browser, filled: Server) -> Iterator[Visit]:
    visit = Visit(browser, filled)
    yield visit
    visit.page.close()
    assert visit.problems == []
    elsewhere = [request.url for request in visit.asked if not request.url.startswith(filled.uri)]
    assert elsewhere == [], "everything comes from the server itself"


def send(server: Server, path: str, body: dict[str, Any]) -> None:
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{server.uri}{path}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer) == {}


def attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    kinds = {str: "stringValue", int: "intValue", float: "doubleValue", bool: "boolValue"}
    return [{"key": key, "value": {kinds[type(value)]: value}} for key, value in values.items()]


def a_span(trace: str, span: int, parent: int | None, name: str, **more: Any) -> dict[str, Any]:
    more.setdefault("startTimeUnixNano", str(BEGIN + span * 1_000_000))
    more.setdefault("endTimeUnixNano", str(BEGIN + 50_000_000))
    parents = {"parentSpanId": f"{parent:016x}"} if parent is not None else {}
    return {"traceId": trace, "spanId": f"{span:016x}", "name": name, "kind": 2, **parents, **more}


def a_record(uid: str, trace: str = "", span: int = 0, values: dict[str, Any] | None = None, **more: Any) -> Any:
    ids = {"traceId": trace, "spanId": f"{span:016x}"} if trace else {}
    said = {"log.record.uid": uid, **(values or {})}
    return {"timeUnixNano": str(BEGIN), "attributes": attributes(said), **ids, **more}


def spans(service: str, given: list[dict[str, Any]]) -> dict[str, Any]:
    resource = {"attributes": attributes({"service.name": service})}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "test"}, "spans": given}]}]}


def records(service: str, given: list[dict[str, Any]]) -> dict[str, Any]:
    resource = {"attributes": attributes({"service.name": service})}
    return {"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": given}]}]}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("page") / "data")
    event = {"timeUnixNano": str(BEGIN + 5_000_000), "name": "cache.miss", "attributes": attributes({"key": "k1"})}
    link = {"traceId": BANK, "spanId": f"{1:016x}", "attributes": attributes({"why": "batch"})}
    failed = {"code": 2, "message": "card declined"}
    shop = [
        a_span(SHOP, 1, None, "GET /checkout", startTimeUnixNano=str(BEGIN)),
        a_span(SHOP, 2, 1, "charge", status=failed, events=[event], links=[link]),
        a_span(
            SHOP,
            3,
            2,
            "SELECT card",
            attributes=attributes({"big": 2**62 + 1, "body": '{"a": [1, 2]}', "exact": '{"n": 12345678901234567891}'}),
        ),
        a_span(SHOP, 4, 99, "lost"),
    ]
    send(server, "/v1/traces", spans("shop", shop))
    long = str(BEGIN + 9_000_000_000)
    send(server, "/v1/traces", spans("bank", [a_span(BANK, 1, None, "transfer", endTimeUnixNano=long)]))
    entity = {"scouter.entity": "u-1", "scouter.name": "fraud", "scouter.alias": "live", "scouter.tag.env": "prod"}
    body = {"kvlistValue": {"values": attributes({"score": 0.25})}}
    beside = a_record("1", SHOP, 2, entity, body=body, eventName="scouter.record.custom")
    # Of another tool: no entity, no kind, a plain text; one in a span that is not here, one in no trace.
    plain = a_record("2", SHOP, 77, severityText="WARN", body={"stringValue": "plain line"})
    alone = [a_record(f"n{n}", values={"scouter.entity": "u-2"}, body={"intValue": n}) for n in range(120)]
    send(server, "/v1/logs", records("shop", [beside, plain, *alone]))
    nasty = [
        a_span(HOSTILE, n + 1, 1 if n else None, text, attributes=attributes({f"k{text}": text, "plain": text}))
        for n, text in enumerate(NASTY)
    ]
    nasty[0]["events"] = [{"timeUnixNano": str(BEGIN), "name": text} for text in NASTY]
    send(server, "/v1/traces", spans(SCRIPTED, nasty))
    said = {f"scouter.tag.{SCRIPTED}": SCRIPTED, "scouter.entity": SCRIPTED, "session.id": SCRIPTED}
    body = {"kvlistValue": {"values": attributes({text: text for text in NASTY})}}
    send(server, "/v1/logs", records(SCRIPTED, [a_record("3", HOSTILE, 1, said, body=body, eventName=SCRIPTED)]))
    yield server
    assert server.stop() == 0


def test_traces_are_listed_newest_first_with_what_matters(visit: Visit) -> None:
    visit.go("/")
    expect(visit["trace-row"]).to_have_count(3)
    row = visit.page.locator(f'[data-trace-id="{SHOP}"]')
    expect(row).to_contain_text("GET /checkout")
    expect(row).to_contain_text("shop")
    expect(row).to_contain_text("50 ms")
    expect(row.get_by_test_id("trace-errors")).to_have_text("1 error")
    expect(visit["message"]).to_be_hidden()
    expect(visit["more"]).to_be_hidden()
    row.get_by_test_id("trace-link").click()
    expect(visit["trace-title"]).to_have_text("GET /checkout")
    assert visit.page.title() == "GET /checkout · Scouter"


def test_the_search_finds_and_stays_in_the_address(visit: Visit) -> None:
    visit.go("/")
    visit["search-service"].select_option("shop")
    visit["search-errors"].check()
    visit["search-submit"].click()
    expect(visit["trace-row"]).to_have_count(1)
    assert visit.page.url.endswith("/?service_name=shop&has_errors=true")
    visit.page.reload()
    expect(visit["search-service"]).to_have_value("shop")
    expect(visit["search-errors"]).to_be_checked()
    expect(visit["trace-row"]).to_have_attribute("data-trace-id", SHOP)
    visit.go("/")
    visit["search-duration"].fill("1000")
    visit["search-submit"].click()
    expect(visit["trace-row"]).to_have_attribute("data-trace-id", BANK)
    visit["search-name"].fill("nothing has this name")
    visit["search-submit"].click()
    expect(visit["message"]).to_have_text("No trace matches. Search for less.")
    expect(visit["trace-row"]).to_have_count(0)


def test_a_trace_is_a_tree_that_folds_and_has_keys(visit: Visit) -> None:
    visit.go(f"/traces/{SHOP}")
    expect(visit["span-row"]).to_have_count(4)
    depths = [row.get_attribute("data-depth") for row in visit["span-row"].all()]
    names = [row.locator(".name").inner_text() for row in visit["span-row"].all()]
    assert list(zip(names, depths, strict=True)) == [
        ("GET /checkout", "0"),
        ("charge", "1"),
        ("SELECT card", "2"),
        ("lost", "0"),
    ]
    expect(visit.row(f"{4:016x}").get_by_test_id("span-orphan")).to_be_visible()
    expect(visit.row(f"{2:016x}").get_by_test_id("span-error")).to_be_visible()
    visit.row(f"{2:016x}").get_by_test_id("fold").click()
    expect(visit.row(f"{3:016x}")).to_be_hidden()
    visit.page.keyboard.press("ArrowRight")
    expect(visit.row(f"{3:016x}")).to_be_visible()
    visit.page.keyboard.press("ArrowDown")
    visit.page.keyboard.press("Enter")
    expect(visit["details-name"]).to_have_text("SELECT card")
    visit.page.keyboard.press("Escape")
    expect(visit["details"]).to_be_hidden()


def test_a_span_shows_its_values_events_links_and_records(visit: Visit) -> None:
    visit.go(f"/traces/{SHOP}")
    expect(visit.row(f"{2:016x}").get_by_test_id("span-records")).to_have_text("◆ 1")
    expect(visit.row(f"{1:016x}").get_by_test_id("span-records")).to_have_count(0)
    visit.row(f"{2:016x}").locator(".name").click()
    expect(visit["details-status"]).to_have_text("status error: card declined")
    expect(visit["event"]).to_contain_text("cache.miss after 3 ms")
    expect(visit["event-attributes"]).to_contain_text("k1")
    expect(visit["link-attributes"]).to_contain_text("batch")
    record = visit["details"].get_by_test_id("record")
    expect(record).to_have_count(1)
    expect(record.get_by_test_id("record-title")).to_have_text("custom record")
    expect(record.get_by_test_id("record-body")).to_contain_text("score0.25")
    expect(record.get_by_test_id("record-tag")).to_have_text("env: prod")
    expect(record.get_by_test_id("record-facts")).to_contain_text("fraud")
    visit.row(f"{3:016x}").locator(".name").click()
    expect(visit["attributes"]).to_contain_text(str(2**62 + 1))
    # Text that is JSON is indented, and only then.
    expect(visit["attributes"].locator("pre").nth(1)).to_have_text('{\n  "a": [\n    1,\n    2\n  ]\n}')
    expect(visit["attributes"].locator("pre").nth(2)).to_have_text('{"n": 12345678901234567891}')
    # A record without its span here, of another tool.
    expect(visit["loose-records"].get_by_test_id("record-title")).to_have_text("WARN")
    expect(visit["loose-records"].get_by_test_id("record-body")).to_have_text("plain line")
    visit.row(f"{2:016x}").locator(".name").click()
    visit["link"].locator("a").click()
    expect(visit["trace-title"]).to_have_text("transfer")


def test_records_of_an_entity_are_a_click_away_and_come_in_pages(visit: Visit) -> None:
    visit.go(f"/traces/{SHOP}")
    visit.row(f"{2:016x}").locator(".name").click()
    visit["details"].get_by_test_id("record-entity").click()
    expect(visit["record"]).to_have_count(1)
    expect(visit["search-entity-uid"]).to_have_value("u-1")
    visit["record-trace"].click()
    expect(visit["trace-title"]).to_have_text("GET /checkout")
    visit["back"].click()
    visit["to-records"].click()
    visit["search-entity-uid"].fill("u-2")
    visit["search-submit"].click()
    for shown in (50, 100, 120):
        expect(visit["record"]).to_have_count(shown)
        if shown < 120:
            visit["more"].click()
    expect(visit["more"]).to_be_hidden()
    bodies = [body.inner_text() for body in visit["record-body"].all()]
    assert bodies == [str(n) for n in reversed(range(120))]
    visit["search-alias"].fill("nobody")
    visit["search-submit"].click()
    expect(visit["message"]).to_have_text("No record matches. Search for less.")


def test_the_records_of_a_real_queue_stand_beside_the_span_that_inserted_them(visit: Visit, filled: Server) -> None:
    profile = AgentProfile("credit", "scoring", "2.0.0", [{"id": "polite"}], uid="u-real")
    tracer = init_tracer(service_name="scoring", transport_config=HttpConfig(uri=filled.uri))
    queue = ScouterQueue.from_profile({"scores": profile}, transport_config=HttpConfig(uri=filled.uri))
    tracer.set_scouter_queue(queue)
    with tracer.start_as_current_span("score") as span:
        span.insert_queue_item("scores", EvalRecord({"score": 7}, id="r-9", tags={"tier": "gold"}))
    assert queue.shutdown(10_000)
    shutdown_tracer(10_000)
    (record,) = ScouterClient(HttpConfig(uri=filled.uri)).get_records(RecordFilters(entity_uid="u-real")).items
    visit.go(f"/traces/{record.trace_id}")
    visit["span-row"].locator(".name").click()
    expect(visit["details"].get_by_test_id("record-facts")).to_contain_text("r-9")
    expect(visit["details"].get_by_test_id("record-tag")).to_have_text("tier: gold")


def test_hostile_names_and_values_are_text(visit: Visit) -> None:
    visit.go("/")
    expect(visit.page.locator(f'[data-trace-id="{HOSTILE}"]')).to_contain_text(SCRIPTED)
    visit.page.locator(f'[data-trace-id="{HOSTILE}"]').get_by_test_id("trace-link").click()
    expect(visit["span-row"]).to_have_count(len(NASTY))
    assert visit["trace-title"].text_content() == SCRIPTED
    for n, text in enumerate(NASTY):
        visit.row(f"{n + 1:016x}").locator(".name").click()
        assert visit["details-name"].text_content() == text
        keys, values = visit["attributes"].locator("th"), visit["attributes"].locator("td pre")
        assert (keys.first.text_content(), values.first.text_content()) == (f"k{text}", text)
    visit.row(f"{1:016x}").locator(".name").click()
    assert visit["event"].locator("strong").all_text_contents() == NASTY
    assert sorted(visit["record-body"].locator("th").all_text_contents()) == sorted(NASTY)
    assert sorted(visit["record-body"].locator("td pre").all_text_contents()) == sorted(NASTY)
    expect(visit["record-title"]).to_have_text(SCRIPTED)
    assert visit.page.evaluate("window.owned") is None
    assert visit.page.locator("main script, main img, main svg, main iframe").count() == 0
    # The panel and the list stay as wide as the window.
    assert visit.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    visit["record-entity"].click()
    expect(visit["record-title"]).to_have_text(SCRIPTED)
    expect(visit["search-entity-uid"]).to_have_value(SCRIPTED)
    assert visit.page.evaluate("window.owned") is None


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (f"/traces/{'9' * 32}", f"there is no trace {'9' * 32}"),
        ("/traces/%3Cscript%3E", "give 32 hexadecimal digits"),
        ("/?min_duration_ms=fast", "min_duration_ms"),
        ("/records?trace_id=short", "trace_id"),
    ],
)
def test_an_error_is_shown_in_the_servers_words(visit: Visit, path: str, words: str) -> None:
    visit.go(path)
    expect(visit["message"]).to_contain_text(words)
    expect(visit["message"]).to_have_class("message error")
    # The browser itself notes answers that are errors; nothing else may be wrong.
    visit.page.wait_for_load_state("networkidle")
    visit.problems[:] = [problem for problem in visit.problems if "Failed to load resource" not in problem]


def test_a_server_that_is_gone_is_told(visit: Visit) -> None:
    visit.go("/")
    expect(visit["trace-row"].first).to_be_visible()
    visit.page.route("**/api/**", lambda route: route.abort())
    visit["search-submit"].click()
    expect(visit["message"]).to_have_text("The server cannot be reached.")
    visit.page.unroute_all()
    visit.problems[:] = [problem for problem in visit.problems if "Failed to load resource" not in problem]


def test_a_server_with_tokens_asks_for_one(browser: Browser, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("s3cret/+=\n")
    server = Server(tmp_path / "data", 0, "--token-file", str(tokens))
    config = HttpConfig(uri=server.uri, headers={"authorization": "Bearer s3cret/+="})
    with init_tracer(service_name="closed", transport_config=config).start_as_current_span("hidden"):
        pass
    shutdown_tracer(10_000)
    visit = Visit(browser, server)
    visit.go("/")
    expect(visit["message"]).to_have_text("This server asks for a token.")
    expect(visit["message"]).to_have_class("message")
    expect(visit["token-form"]).to_have_count(1)
    expect(visit["token"]).to_have_attribute("type", "password")
    visit["token"].fill("not a token")
    visit["token-submit"].click()
    expect(visit["message"]).to_contain_text("no spaces")
    visit["token"].fill("wrong")
    visit["token-submit"].click()
    expect(visit["message"]).to_contain_text("does not take this token")
    expect(visit["token-form"]).to_have_count(1)
    visit["token"].fill("s3cret/+=")
    visit["token-submit"].click()
    expect(visit["trace-row"]).to_have_count(1)
    expect(visit["token-form"]).to_have_count(0)
    expect(visit["search-service"].locator("option")).to_have_text(["all services", "closed"])
    # It holds for the tab: other pages and a reload do not ask again.
    visit["trace-link"].click()
    expect(visit["span-row"]).to_have_count(1)
    visit.page.reload()
    expect(visit["span-row"]).to_have_count(1)
    expect(visit["token-form"]).to_have_count(0)
    assert not [request.url for request in visit.asked if "s3cret" in request.url or "wrong" in request.url]
    assert "s3cret" not in visit.page.content()
    assert visit.page.context.cookies() == []
    assert visit.page.evaluate("localStorage.length") == 0
    sent = [request.all_headers().get("authorization") for request in visit.asked if "/page/" in request.url]
    assert set(sent) == {None}, "files that need no token get none"
    visit.page.close()
    # Another tab knows nothing of it.
    other = Visit(browser, server)
    other.go("/")
    expect(other["token-form"]).to_have_count(1)
    other.page.close()
    assert server.stop() == 0
