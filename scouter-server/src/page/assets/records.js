// Records: those of a trace, fetched with it, and how each is shown.
import { ask } from "./ask.js";
import { badge, count, element, moment } from "./common.js";
import { part, pretty } from "./values.js";

const PAGE = 1000;
const MOST = 10;

/** The records of a trace, oldest first, and whether there are older ones than were fetched. */
export async function fetchRecords(traceId) {
  const records = [];
  let cursor = null;
  for (let page = 0; page < MOST; page += 1) {
    const query = new URLSearchParams({ trace_id: traceId, limit: String(PAGE) });
    if (cursor !== null) query.set("cursor", cursor);
    const answer = await ask(`/api/v1/records?${query}`);
    records.push(...answer.items);
    cursor = answer.next_cursor;
    if (cursor === null) break;
  }
  return { records: records.reverse(), more: cursor !== null };
}

/** What a record is called. */
function title(record) {
  if (record.kind !== null) return `${record.kind} record`;
  return record.event_name || record.severity_text || "record";
}

function facts(record) {
  const entity = record.entity;
  const said = [
    ["alias", entity?.alias], ["space", entity?.space], ["name", entity?.name], ["version", entity?.version], ["entity", entity?.uid],
    ["record id", record.record_id], ["session", record.session_id],
  ];
  return said.filter(([, value]) => value !== undefined && value !== null && value !== "");
}

/** Attributes that are not shown in a place of their own. */
function others(record) {
  const own = /^(scouter\.(entity|space|name|version|alias|record\.id|tag\..*)|session\.id|log\.record\.uid)$/;
  return Object.entries(record.attributes).filter(([key]) => !own.test(key));
}

/** Where the rest of it is: its trace, and the other records of its entity. */
function ways(record, isAlone) {
  const made = [];
  const uid = record.entity?.uid ?? "";
  if (isAlone && record.trace_id !== null) made.push(element("a", { href: `/traces/${record.trace_id}`, "data-testid": "record-trace" }, "its trace"));
  if (uid !== "") made.push(element("a", { href: `/records?${new URLSearchParams({ entity_uid: uid })}`, "data-testid": "record-entity" }, "records of this entity"));
  return made.length === 0 ? null : element("p", { class: "facts" }, ...made);
}

function card(record, isAlone) {
  const body = record.body;
  const fields = body !== null && typeof body === "object" && !Array.isArray(body) ? Object.entries(body) : null;
  const tags = Object.entries(record.tags).map(([key, value]) => element("span", { class: "tag", "data-testid": "record-tag" }, `${key}: ${value}`));
  const parts = [
    fields === null || fields.length === 0 ? null : part("Body", fields, "record-body"),
    fields !== null || body === null ? null : element("pre", { class: "body", "data-testid": "record-body" }, pretty(body)),
    part("About", facts(record), "record-facts"),
    part("Attributes", others(record), "record-attributes", record.dropped_attributes_count),
    ways(record, isAlone),
  ];
  return element(
    "li", { class: "record", "data-testid": "record" },
    element("details", { open: true },
      element("summary", {}, element("strong", { "data-testid": "record-title" }, title(record)), " ",
        element("span", { class: "hint" }, moment(record.time)), " ", record.service_name === "" ? null : badge(record.service_name)),
      tags.length > 0 ? element("p", { class: "tags" }, ...tags) : null,
      ...parts.filter((section) => section !== null)),
  );
}

/** A list of records; `isAlone` where their trace is not beside them. */
export function list(records, isAlone = false) {
  return element("ul", { class: "plain records", "data-testid": "records" }, ...records.map((record) => card(record, isAlone)));
}

/** What a span's row says of its records. */
export function marker(records) {
  return element("span", { class: "marker", title: count(records.length, "record"), "data-testid": "span-records" }, `◆ ${records.length}`);
}
