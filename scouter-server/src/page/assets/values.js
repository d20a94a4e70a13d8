// Values for people: as text, in tables.
import { count, element } from "./common.js";

/** A value as text: strings as they are, the rest as JSON, whole numbers exact. */
function text(value) {
  if (typeof value === "string") return value;
  if (typeof value === "bigint") return value.toString();
  const marked = JSON.stringify(value, (_key, inner) => (typeof inner === "bigint" ? `\u0001${inner}\u0001` : inner), 2);
  return marked.replace(/"\\u0001(-?\d+)\\u0001"/g, "$1");
}

/** Text that is itself a JSON object or list, as captured inputs and outputs are, reads better indented. */
export function pretty(value) {
  if (typeof value !== "string" || !/^\s*[[{]/.test(value)) return text(value);
  try {
    // Only where nothing gets lost: a number that a double cannot hold would change.
    return /\d{16}|\d[eE]\+?\d{3}/.test(value) ? value : JSON.stringify(JSON.parse(value), null, 2);
  } catch {
    return value;
  }
}

export function table(entries, testid) {
  const rows = entries.map(([key, value]) =>
    element("tr", {}, element("th", { scope: "row" }, key), element("td", {}, element("pre", {}, pretty(value)))));
  return element("table", { class: "values", "data-testid": testid }, element("tbody", {}, ...rows));
}

/** A headed part, or nothing when there is nothing to show in it. */
export function part(title, entries, testid, dropped = 0) {
  if (entries.length === 0 && dropped === 0) return null;
  const lost = dropped > 0 ? element("p", { class: "hint" }, `${count(dropped, "attribute")} left out by the sender`) : null;
  return element("section", {}, element("h3", {}, title), entries.length > 0 ? table(entries, testid) : null, lost);
}
