// Asking the server, with a token where it wants one.
import { element, say } from "./common.js";

const KEY = "scouter.token";
/** For this page alone where the browser keeps nothing. */
let own = null;
/** The form that waits for a token, as a promise: one for all who ask. */
let waiting = null;

/** The token of this tab: it ends with the tab, and is in no address. */
function token() {
  try {
    return sessionStorage.getItem(KEY) ?? own;
  } catch {
    return own;
  }
}

function keep(given) {
  own = given;
  try {
    sessionStorage.setItem(KEY, given);
  } catch {
    // It is kept for this page.
  }
}

/** Reads JSON without rounding: integers a double cannot hold become BigInt where the browser shows their text. */
function parse(text) {
  return JSON.parse(text, (_key, value, context) => {
    const inexact = typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value);
    return inexact && /^-?\d+$/.test(context?.source ?? "") ? BigInt(context.source) : value;
  });
}

function fetchWith(sent, path) {
  const authorization = sent === null ? {} : { authorization: `Bearer ${sent}` };
  return fetch(path, { headers: { accept: "application/json", ...authorization } }).catch(() => {
    throw new Error("The server cannot be reached.");
  });
}

/** Shows the form until a token is given. */
function askForToken(refused) {
  return new Promise((resolve) => {
    say(refused === null ? "This server asks for a token." : "The server does not take this token. Give another one.", refused !== null);
    const input = element("input", { type: "password", autocomplete: "off", required: true, "data-testid": "token" });
    const form = element("form", { class: "search", "data-testid": "token-form" },
      element("label", {}, "Token", input), element("button", { type: "submit", "data-testid": "token-submit" }, "Go on"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const given = input.value.trim();
      // What a header cannot carry is no token of any server.
      if (!/^[!-~]+$/.test(given)) {
        say("A token has letters, digits and signs, and no spaces.", true);
        return;
      }
      keep(given);
      form.remove();
      say("Loading…");
      resolve();
    });
    document.getElementById("message").after(form);
    input.focus();
  });
}

/** Waits for another token than the one that was refused. */
async function signIn(refused) {
  if (token() !== refused) return;
  waiting ??= askForToken(refused).finally(() => {
    waiting = null;
  });
  await waiting;
}

/** Asks the server. Throws an Error with its words when it does not answer with what was asked for. */
export async function ask(path) {
  let sent = token();
  let response = await fetchWith(sent, path);
  while (response.status === 401) {
    await signIn(sent);
    sent = token();
    response = await fetchWith(sent, path);
  }
  const text = await response.text();
  let answer;
  try {
    answer = parse(text);
  } catch {
    throw new Error(`The server answered ${response.status} without JSON.`);
  }
  if (!response.ok) throw new Error(answer?.error?.message ?? `The server answered ${response.status}.`);
  return answer;
}
