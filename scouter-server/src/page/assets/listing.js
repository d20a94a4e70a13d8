// A search that stands in the page's address, and its answer, page after page.
import { ask } from "./ask.js";
import { say } from "./common.js";

const form = document.getElementById("search");
const more = document.getElementById("more");
const PAGE = 50;

/** The filters in the page's address, which is where the form puts them: reloading and sharing keep them. */
export function filters() {
  const wanted = new URLSearchParams();
  for (const [name, value] of new URLSearchParams(location.search)) {
    if (form.elements.namedItem(name) && value.trim() !== "") wanted.set(name, value.trim());
  }
  return wanted;
}

/** Shows all that matches. `add` shows the items of one page more and tells how many there are now. */
export function listing(path, add, { none, nothing }) {
  let cursor = null;
  const load = async () => {
    more.disabled = true;
    const query = filters();
    const asked = query.size > 0;
    query.set("limit", String(PAGE));
    if (cursor !== null) query.set("cursor", cursor);
    try {
      const page = await ask(`${path}?${query}`);
      cursor = page.next_cursor;
      more.hidden = cursor === null;
      const shown = add(page.items);
      say(shown > 0 ? "" : asked ? none : nothing);
    } catch (error) {
      say(error.message, true);
    }
    more.disabled = false;
  };
  more.addEventListener("click", load);
  return load();
}

// Fields nobody filled in do not belong into the address.
form.addEventListener("formdata", (event) => {
  for (const [name, value] of [...event.formData]) if (value.trim() === "") event.formData.delete(name);
});
