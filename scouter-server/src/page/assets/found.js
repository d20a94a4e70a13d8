// Records of whatever is searched for: an entity, a session, a record.
import { filters, listing } from "./listing.js";
import { list } from "./records.js";

const form = document.getElementById("search");
const found = document.getElementById("found");

function add(records) {
  if (found.firstChild === null) found.append(list(records, true));
  else found.firstChild.append(...list(records, true).childNodes);
  return found.firstChild.childNodes.length;
}

for (const [name, value] of filters()) form.elements.namedItem(name).value = value;
listing("/api/v1/records", add, {
  none: "No record matches. Search for less.",
  nothing: "No records yet. They appear here as soon as the first one arrives.",
});
