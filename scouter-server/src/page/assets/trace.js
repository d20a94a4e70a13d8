// One trace as an indented waterfall.
import { ask } from "./ask.js";
import { badge, between, colour, count, duration, element, moment, paint, say } from "./common.js";
import { close, show } from "./details.js";
import { fetchRecords, list, marker } from "./records.js";

const tree = document.getElementById("spans");
const traceId = decodeURIComponent(location.pathname.split("/").filter(Boolean).pop() ?? "");
/** The rows in tree order: { span, row, folded, end } where `end` is the place behind everything below the span. */
let rows = [];
/** The records of each span, by its id. */
const recordsOf = new Map();

/** Lines of the time axis, at round times. */
function axis(total) {
  const ticks = document.querySelector("#axis .ticks");
  const rough = total / 4;
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? rough;
  for (let at = 0; at <= total; at += step) {
    const tick = element("span", { class: "tick" }, duration(at));
    tick.style.left = `${(100 * at) / total}%`;
    tick.classList.toggle("last", at / total > 0.85);
    ticks.append(tick);
  }
  document.getElementById("axis").hidden = false;
}

function makeRow(span, at, start, total) {
  const offset = Math.max(0, between(start, span.start_time));
  const failed = span.status.code === "ERROR";
  const bar = element("span", { class: `bar ${colour(span.service_name)}${failed ? " failed" : ""}` });
  bar.style.left = `${(100 * offset) / total}%`;
  bar.style.width = `${Math.max(0, Math.min(100 - (100 * offset) / total, (100 * Number(span.duration_ns)) / total))}%`;
  const took = element("span", { class: "took" }, duration(span.duration_ns));
  // The text stands behind the bar, or before it where there is no room behind.
  const end = (offset + Number(span.duration_ns)) / total;
  if (end > 0.85 && offset / total > 0.15) took.style.right = `${100 - (100 * offset) / total}%`;
  else if (end > 0.85) {
    took.classList.add("inside");
    took.style.right = `${Math.max(0, 100 - 100 * end)}%`;
  }
  else took.style.left = `${100 * end}%`;
  const fold = element("span", { class: "fold", "aria-hidden": "true", "data-testid": "fold" }, span.children.length > 0 ? "▾" : "");
  const name = element("span", { class: "name", title: span.name }, span.name === "" ? "(no name)" : span.name);
  const what = element(
    "span", { class: "what" }, fold, badge(span.service_name), name,
    element("span", { class: "kind", "data-testid": "span-kind" }, span.kind.toLowerCase()),
    failed ? element("span", { class: "failed", "data-testid": "span-error" }, "error") : null,
    span.orphan ? element("span", { class: "orphan", title: "Its parent has not arrived.", "data-testid": "span-orphan" }, "orphan") : null,
  );
  what.style.setProperty("--depth", String(Math.min(span.depth, 40)));
  const label = `${span.name}, ${span.service_name}, ${span.kind.toLowerCase()}, ${duration(span.duration_ns)}${failed ? ", error" : ""}${span.orphan ? ", orphan" : ""}`;
  return element(
    "div", {
      class: `row span${failed ? " has-errors" : ""}`, role: "treeitem", tabindex: at === 0 ? 0 : -1, "aria-level": span.depth + 1,
      "aria-expanded": span.children.length > 0 ? "true" : null, "aria-selected": "false", "aria-label": label,
      "data-testid": "span-row", "data-span-id": span.span_id, "data-depth": span.depth, "data-at": at,
    },
    what, element("span", { class: "line" }, bar, took),
  );
}

function draw(trace) {
  // A trace of no length still needs a scale.
  const total = Math.max(Number(trace.duration_ns), 1);
  paint(trace.services);
  document.title = `${trace.root_name} · Scouter`;
  document.getElementById("title").textContent = trace.root_name === "" ? "(no name)" : trace.root_name;
  const errors = Number(trace.error_count);
  document.getElementById("facts").replaceChildren(
    ...trace.services.map(badge),
    element("span", {}, count(trace.span_count, "span")),
    element("span", {}, duration(trace.duration_ns)),
    element("span", {}, moment(trace.start_time)),
    errors > 0 ? element("span", { class: "failed" }, count(errors, "error")) : "",
  );
  axis(total);
  rows = trace.spans.map((span, at) => ({ span, row: makeRow(span, at, trace.start_time, total), folded: false, end: at + 1 }));
  for (let at = rows.length - 1; at >= 0; at -= 1) {
    let end = at + 1;
    while (end < rows.length && rows[end].span.depth > rows[at].span.depth) end = rows[end].end;
    rows[at].end = end;
  }
  tree.append(...rows.map(({ row }) => row));
  document.getElementById("keys").hidden = false;
  say("");
}

/** Hides what lies below a folded span, shows the rest. */
function refold() {
  for (let at = 0, shownFrom = 0; at < rows.length; at += 1) {
    rows[at].row.hidden = at < shownFrom;
    if (at >= shownFrom && rows[at].folded) shownFrom = rows[at].end;
  }
}

function fold(at, folded) {
  const entry = rows[at];
  if (entry.span.children.length === 0) return;
  entry.folded = folded;
  entry.row.setAttribute("aria-expanded", String(!folded));
  entry.row.querySelector(".fold").textContent = folded ? "▸" : "▾";
  refold();
}

function focus(at) {
  for (const { row } of rows) row.tabIndex = -1;
  rows[at].row.tabIndex = 0;
  rows[at].row.focus();
}

function select(at) {
  for (const { row } of rows) row.setAttribute("aria-selected", "false");
  if (at === null) return;
  rows[at].row.setAttribute("aria-selected", "true");
  show(rows[at].span, recordsOf.get(rows[at].span.span_id) ?? []);
}

function dismiss() {
  select(null);
  close();
  const focused = rows.findIndex(({ row }) => row.tabIndex === 0);
  if (focused >= 0) rows[focused].row.focus();
}

function visible(from, step) {
  let at = from + step;
  while (at >= 0 && at < rows.length && rows[at].row.hidden) at += step;
  return at >= 0 && at < rows.length ? at : from;
}

function parentOf(at) {
  let parent = at - 1;
  while (parent >= 0 && rows[parent].span.depth >= rows[at].span.depth) parent -= 1;
  return parent >= 0 ? parent : at;
}

const KEYS = {
  ArrowDown: (at) => focus(visible(at, 1)),
  ArrowUp: (at) => focus(visible(at, -1)),
  Home: () => focus(0),
  End: () => focus(visible(rows.length, -1)),
  ArrowRight: (at) => (rows[at].folded ? fold(at, false) : rows[at].end > at + 1 && focus(at + 1)),
  ArrowLeft: (at) => (!rows[at].folded && rows[at].end > at + 1 ? fold(at, true) : focus(parentOf(at))),
  Enter: select,
  " ": select,
};

tree.addEventListener("keydown", (event) => {
  const row = event.target.closest(".span");
  if (!row || event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
  event.preventDefault();
  KEYS[event.key](Number(row.dataset.at));
});

tree.addEventListener("click", (event) => {
  const row = event.target.closest(".span");
  if (!row) return;
  const at = Number(row.dataset.at);
  focus(at);
  if (event.target.closest(".fold") && rows[at].span.children.length > 0) fold(at, !rows[at].folded);
  else select(at);
});

document.addEventListener("keydown", (event) => event.key === "Escape" && dismiss());
document.addEventListener("details-closed", dismiss);

/** Puts records where they belong: a marker on the row of a known span, below the tree without one. */
function place({ records, more }) {
  const known = new Map(rows.map(({ span, row }) => [span.span_id, row]));
  const loose = [];
  for (const record of records) {
    if (!known.has(record.span_id)) loose.push(record);
    else if (recordsOf.has(record.span_id)) recordsOf.get(record.span_id).push(record);
    else recordsOf.set(record.span_id, [record]);
  }
  for (const [id, own] of recordsOf) {
    const row = known.get(id);
    row.querySelector(".name").after(marker(own));
    row.setAttribute("aria-label", `${row.getAttribute("aria-label")}, ${count(own.length, "record")}`);
  }
  if (records.length > 0) document.getElementById("facts").append(element("span", { "data-testid": "trace-records" }, count(records.length, "record")));
  if (more) document.getElementById("facts").append(element("span", { class: "hint" }, "only the newest are shown"));
  if (loose.length > 0) document.getElementById("loose-list").replaceChildren(list(loose));
  document.getElementById("loose").hidden = loose.length === 0;
}

/** Asks for the trace and its records. A record may be there before its trace: it is shown all the same. */
async function load() {
  const path = `/api/v1/traces/${encodeURIComponent(traceId)}`;
  const [trace, records] = await Promise.allSettled([ask(path), fetchRecords(traceId)]);
  if (trace.status === "fulfilled") draw(trace.value);
  else say(trace.reason.message, true);
  if (records.status === "fulfilled") place(records.value);
  else if (trace.status === "fulfilled") say(`The records cannot be shown: ${records.reason.message}`, true);
}

document.getElementById("trace-id").textContent = traceId;
load();
