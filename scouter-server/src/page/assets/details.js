// Everything about one span.
import { badge, between, duration, element, moment } from "./common.js";
import { list } from "./records.js";
import { part, table } from "./values.js";

const panel = document.getElementById("details");

function events(span) {
  if (span.events.length === 0) return null;
  const list = span.events.map((event) => {
    const after = between(span.start_time, event.time);
    const when = after < 0 ? `${duration(-after)} before it began` : `after ${duration(after)}`;
    const attributes = Object.entries(event.attributes);
    return element("li", { "data-testid": "event" }, element("strong", {}, event.name), " ", element("span", { class: "hint" }, when),
      attributes.length > 0 ? table(attributes, "event-attributes") : null);
  });
  return element("section", {}, element("h3", {}, "Events"), element("ul", { class: "plain", "data-testid": "events" }, ...list));
}

function links(span) {
  if (span.links.length === 0) return null;
  const list = span.links.map((link) => {
    const attributes = Object.entries(link.attributes);
    const target = link.trace_id === null ? "an unreadable id" : element("a", { href: `/traces/${link.trace_id}` }, link.trace_id);
    return element("li", { "data-testid": "link" }, "trace ", target, " span ", element("code", {}, link.span_id ?? "?"),
      attributes.length > 0 ? table(attributes, "link-attributes") : null);
  });
  return element("section", {}, element("h3", {}, "Links"), element("ul", { class: "plain", "data-testid": "links" }, ...list));
}

/** Shows a span and the records that were inserted in it. */
export function show(span, records) {
  const closer = element("button", { type: "button", class: "quiet close", "aria-label": "Close", "data-testid": "details-close" }, "×");
  closer.addEventListener("click", () => document.dispatchEvent(new CustomEvent("details-closed")));
  const failed = span.status.code === "ERROR";
  const words = span.status.message === "" ? span.status.code.toLowerCase() : `${span.status.code.toLowerCase()}: ${span.status.message}`;
  const facts = [
    ["service", span.service_name], ["kind", span.kind.toLowerCase()], ["duration", duration(span.duration_ns)], ["began", moment(span.start_time)],
    ["span id", span.span_id], ["parent", span.parent_span_id ?? "none"],
    ["scope", [span.scope.name, span.scope.version].filter(Boolean).join(" ") || "none"],
    ...(span.trace_state === "" ? [] : [["trace state", span.trace_state]]),
  ];
  panel.replaceChildren(
    closer,
    element("h2", { "data-testid": "details-name" }, span.name === "" ? "(no name)" : span.name),
    element("p", {}, badge(span.service_name), " ",
      element("span", { class: failed ? "failed" : "hint", "data-testid": "details-status" }, `status ${words}`)),
    ...[
      part("Attributes", Object.entries(span.attributes), "attributes", span.dropped_attributes_count),
      events(span),
      records.length === 0 ? null : element("section", {}, element("h3", {}, "Records"), list(records)),
      links(span),
      part("Span", facts, "facts"),
      part("Resource", Object.entries(span.resource), "resource"),
      part("Scope attributes", Object.entries(span.scope.attributes), "scope-attributes"),
    ].filter((section) => section !== null),
  );
  panel.hidden = false;
  panel.setAttribute("aria-label", `Span ${span.name}`);
  panel.scrollTop = 0;
}

/** Hides the panel. */
export function close() {
  panel.hidden = true;
  panel.replaceChildren();
}
