// What the pages share: writing numbers, making elements out of text.

/** Makes an element. Children are elements or text; text never becomes markup. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") made.className = value;
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Nanoseconds between two times, each a number or a BigInt. */
export function between(earlier, later) {
  return Number(BigInt(later) - BigInt(earlier));
}

/** Nanoseconds for people. */
export function duration(ns) {
  const number = Number(ns);
  const units = [["s", 1e9], ["ms", 1e6], ["µs", 1e3]];
  if (number >= 60e9) return `${Math.floor(number / 60e9)} min ${((number % 60e9) / 1e9).toFixed(1)} s`;
  for (const [unit, size] of units) {
    if (number >= size) return `${Number((number / size).toPrecision(4))} ${unit}`;
  }
  return `${number} ns`;
}

/** A time, nanoseconds since the Unix epoch, in the reader's zone, down to the millisecond. */
export function moment(ns) {
  const date = new Date(Number(BigInt(ns) / 1000000n));
  if (Number.isNaN(date.getTime())) return `${ns} ns`;
  const day = date.toLocaleDateString(undefined, { year: "numeric", month: "short", day: "numeric" });
  const time = date.toLocaleTimeString(undefined, { hour12: false });
  return `${day} ${time}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/** "1 span", "2 spans". */
export function count(number, word) {
  return `${Number(number).toLocaleString()} ${word}${Number(number) === 1 ? "" : "s"}`;
}

const COLOURS = 8;
const given = new Map();

/** Gives services of one view their colours: each the same everywhere, unless another one here has it already. */
export function paint(services) {
  const taken = new Set(given.values());
  for (const service of services.filter((name) => !given.has(name))) {
    let hash = 0;
    for (const character of service) hash = (hash * 31 + character.codePointAt(0)) >>> 0;
    let own = hash % COLOURS;
    while (taken.has(own) && taken.size < COLOURS) own = (own + 1) % COLOURS;
    taken.add(own);
    given.set(service, own);
  }
}

/** The class of a service's colour. */
export function colour(service) {
  paint([service]);
  return `colour-${given.get(service)}`;
}

/** A service's name behind its colour. */
export function badge(service) {
  const name = service === "" ? "no service name" : service;
  return element("span", { class: `badge ${colour(service)}` }, name);
}

/** Shows a message, or hides it when there is none. */
export function say(text, isError = false) {
  const message = document.getElementById("message");
  message.textContent = text;
  message.hidden = text === "";
  message.classList.toggle("error", isError);
}
