// The list of traces, and the search.
import { ask } from "./ask.js";
import { badge, count, duration, element, moment } from "./common.js";
import { filters, listing } from "./listing.js";

const form = document.getElementById("search");
const table = document.getElementById("traces");
const SERVICES = 4;

function row(trace) {
  const errors = Number(trace.error_count);
  const href = `/traces/${trace.trace_id}`;
  const name = element("a", { href, "data-testid": "trace-link" }, trace.root_name === "" ? "(no name)" : trace.root_name);
  const failed = errors > 0 ? element("span", { class: "failed", "data-testid": "trace-errors" }, count(errors, "error")) : null;
  const shown = trace.services.slice(0, SERVICES).map(badge);
  const hidden = trace.services.length - shown.length;
  const rest = hidden > 0 ? element("span", { class: "hint", title: trace.services.slice(SERVICES).join(", ") }, `and ${hidden} more`) : null;
  return element(
    "tr", { "data-testid": "trace-row", "data-trace-id": trace.trace_id, class: errors > 0 ? "has-errors" : "" },
    element("td", {}, name, " ", failed ?? "", element("code", { class: "id small" }, trace.trace_id)),
    element("td", { class: "services" }, ...shown, rest),
    element("td", { class: "number" }, Number(trace.span_count).toLocaleString()),
    element("td", { class: "number" }, duration(trace.duration_ns)),
    element("td", { class: "time" }, moment(trace.start_time)),
  );
}

function add(traces) {
  const body = table.tBodies[0];
  body.append(...traces.map(row));
  table.hidden = body.rows.length === 0;
  return body.rows.length;
}

async function fillForm() {
  const wanted = filters();
  const select = form.elements.namedItem("service_name");
  const asked = wanted.get("service_name") ?? "";
  let services = [];
  try {
    services = await ask("/api/v1/services");
  } catch {
    // The list of traces says what is wrong with the server.
  }
  if (asked !== "" && !services.includes(asked)) services.push(asked);
  select.append(...services.map((service) => element("option", { value: service }, service)));
  select.value = asked;
  for (const name of ["span_name", "min_duration_ms"]) form.elements.namedItem(name).value = wanted.get(name) ?? "";
  form.elements.namedItem("has_errors").checked = wanted.get("has_errors") === "true";
}

fillForm();
listing("/api/v1/traces/search", add, {
  none: "No trace matches. Search for less.",
  nothing: "No traces yet. They appear here as soon as the first one arrives.",
});
