// Makes the console's pages live. Each of them is complete without this file; here they only gain: parts that follow
// what happens, copying, times as "3 min ago", menus that close by themselves, keys.
import { $, copy, keys, warn } from "./common.js";

const root = document.documentElement;
root.classList.add("js");

// ---- times ----------------------------------------------------------------------------------------------------

const UNITS = [[86400, "d"], [3600, "h"], [60, "min"]]; // seconds

/** A moment as people say it, of the past or to come; beyond a month the day says more. */
function spoken(seconds) {
  const far = Math.abs(seconds);
  if (far > 30 * 86400) return null;
  for (const [length, unit] of UNITS) {
    if (far < length) continue;
    const text = `${Math.floor(far / length)} ${unit}`;
    return seconds < 0 ? `in ${text}` : `${text} ago`;
  }
  return seconds < -5 ? `in ${Math.floor(far)} s` : "just now";
}

// Times are told by the server's clock: the browser's may be wrong, and that of a gateway for development moved.
let ahead = 0; // of the browser's clock, in milliseconds
function set(body) {
  const now = Date.parse(body.dataset.now);
  if (!Number.isNaN(now)) ahead = now - Date.now();
}

function tell(scope = document) {
  for (const time of scope.querySelectorAll("time[data-ago]")) {
    const at = Date.parse(time.dateTime);
    if (Number.isNaN(at)) continue;
    if (!time.title) time.title = time.textContent;
    const text = spoken((Date.now() + ahead - at) / 1000) ?? time.dateTime.slice(0, 10);
    if (time.textContent !== text) time.textContent = text;
  }
}
setInterval(() => tell(), 10_000);

// ---- small helps ----------------------------------------------------------------------------------------------

// A table that fits needs no tab stop of its own, and its head can stay in sight.
const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const fits = target.scrollWidth <= target.clientWidth && target.scrollHeight <= target.clientHeight;
    target.toggleAttribute("data-fits", fits);
    if (fits) target.removeAttribute("tabindex");
    else target.tabIndex = 0;
  }
});

/** What a part needs when it comes new onto the page. */
function dress(scope) {
  tell(scope);
  for (const scroller of scope.querySelectorAll(".scroller")) sizes.observe(scroller);
}

document.addEventListener("click", (e) => {
  for (const menu of document.querySelectorAll(".drop[open]")) {
    if (!menu.contains(e.target) || e.target.closest("[data-open]")) menu.open = false;
  }
  const button = e.target.closest("button");
  if (button?.dataset.copy) copy($(button.dataset.copy).textContent, button);
  else if (button?.dataset.open) $(button.dataset.open).showModal();
  if (e.target.closest("a, button, input, select, label, summary") || !getSelection().isCollapsed) return;
  const link = e.target.closest("tr")?.querySelector("a[data-row]");
  if (!link) return;
  if (e.ctrlKey || e.metaKey) open(link.href, "_blank", "noopener");
  else link.click();
});

document.addEventListener("keydown", (e) => {
  const menu = e.key === "Escape" && (e.target.closest(".drop[open]") ?? document.querySelector(".drop[open]"));
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

// A filter applies as soon as it is chosen with a pointer. Chosen with the keyboard, each arrow would be a page of its
// own: there the button is pressed.
let pointed = null;
addEventListener("pointerdown", (e) => { pointed = e.target; }, true);
addEventListener("keydown", () => { pointed = null; }, true);
document.addEventListener("change", (e) => {
  if ("autosubmit" in e.target.dataset && pointed?.closest("select") === e.target) e.target.form.requestSubmit();
});

// A double click is one click, and what takes long shows that it is under way.
document.addEventListener("submit", (e) => {
  const { target: form, submitter } = e;
  if (form.method !== "post") return;
  if (form.dataset.busy) { e.preventDefault(); return; }
  form.dataset.busy = "1";
  if (submitter) submitter.dataset.busy = "1";
});
addEventListener("pageshow", () => {
  for (const busy of document.querySelectorAll("[data-busy]")) delete busy.dataset.busy;
});

// ---- keys -----------------------------------------------------------------------------------------------------

let going;
const place = (key) => [...document.querySelectorAll(".side [data-key]")].find((link) => link.dataset.key === key);
const actions = {
  "/": () => {
    const search = document.querySelector("[data-search]");
    if (search) { search.focus(); search.select?.(); return; }
    const requests = place("r");
    if (requests) location.href = `${requests.href}#q`;
  },
  "?": () => $("keys").showModal(),
  g: () => { clearTimeout(going); going = setTimeout(() => { going = undefined; }, 1500); },
};
keys((key) => {
  if (going) {
    clearTimeout(going);
    going = undefined;
    const link = place(key);
    if (link) return () => link.click();
  }
  return Object.hasOwn(actions, key) ? actions[key] : undefined;
});

// ---- live parts -----------------------------------------------------------------------------------------------

const PAUSE_MS = 1000; // between two looks at the server
const parts = (page) => [...page.querySelectorAll("[data-live-part][id]")];
const shown = new Map(parts(document).map((part) => [part.id, part.innerHTML])); // as the server wrote it

/** How to find the control again that has the focus, once its part is new. */
function mark(el) {
  if (el.id) return `#${CSS.escape(el.id)}`;
  for (const name of ["href", "value"]) {
    if (el.hasAttribute(name)) return `${el.localName}[${name}="${CSS.escape(el.getAttribute(name))}"]`;
  }
  return el.localName === "summary" && el.parentElement.id ? `#${CSS.escape(el.parentElement.id)} > summary` : null;
}

/** Whether something in a part would be lost if it were replaced now. */
function busy(part, next) {
  const focus = document.activeElement;
  if (part.contains(focus)) {
    if (focus.matches("input, select, textarea")) return true;
    const again = mark(focus);
    if (focus !== part && !(again && next.querySelector(again))) return true; // `main` itself has the focus after a skip
  }
  const selection = getSelection();
  if (!selection.isCollapsed && selection.containsNode(part, true)) return true;
  if (part.querySelector("dialog[open], details[open]:not([id]), [data-done], [data-busy]")) return true;
  return [...part.querySelectorAll("input, textarea")].some((field) => field.value !== field.defaultValue || field.checked !== field.defaultChecked);
}

function replace(part, next) {
  const open = [...part.querySelectorAll("details[open]")].map((details) => details.id);
  const scrolled = [...part.querySelectorAll(".scroller")].map((el) => [el.scrollLeft, el.scrollTop]);
  const again = part.contains(document.activeElement) && mark(document.activeElement);
  part.replaceChildren(...next.childNodes);
  for (const id of open) { if (id && $(id)) $(id).open = true; }
  part.querySelectorAll(".scroller").forEach((el, at) => { [el.scrollLeft, el.scrollTop] = scrolled[at] ?? [0, 0]; });
  if (again) part.querySelector(again)?.focus({ preventScroll: true });
  dress(part);
}

let waiting = false; // for the time of the next look
let looking = false;
let stale = false; // something changed that is not on the page yet
let last = 0;

function changed() {
  stale = true;
  if (waiting || looking || document.hidden) return;
  waiting = true;
  setTimeout(look, Math.max(0, last + PAUSE_MS - Date.now()));
}

async function look() {
  waiting = false;
  looking = true;
  stale = false;
  last = Date.now();
  let held = false; // a part was left as it is for the sake of the person
  try {
    const answer = await fetch(location.href, {
      headers: { "X-Chappe-Live": "1" },
      cache: "no-store",
    });
    // Logged out meanwhile: the page stays readable, and says so.
    const out = answer.redirected && new URL(answer.url).pathname === "/login";
    if (out || answer.status === 401 || answer.status === 403) {
      stop();
      link("lost", "logged out");
      warn("You are logged out. Load the page anew to go on.");
      return;
    }
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    set(page.body);
    tell();
    const fresh = parts(page);
    const ids = (list) => list.map((part) => part.id).join();
    if (ids(fresh) !== ids(parts(document))) {
      if (answer.redirected) return; // this page is an answer to a form, and cannot be asked for
      // The page has taken another shape, such as with the first code ever: then all of it is new.
      held = busy($("main"), page.getElementById("main"));
      if (held) return;
      shown.clear();
      for (const part of fresh) shown.set(part.id, part.innerHTML);
      replace($("main"), page.getElementById("main"));
      return;
    }
    for (const next of fresh) {
      const part = $(next.id);
      const html = next.innerHTML;
      if (shown.get(next.id) === html) continue;
      if (busy(part, next)) { held = true; continue; }
      shown.set(next.id, html);
      replace(part, next);
    }
  } catch {
    held = true; // the next change, or the events' own reconnect, asks again
  } finally {
    looking = false;
    if (stale) changed();
    else stale = held;
  }
}

// What was left alone is brought up to date once the person has moved on.
const moved = () => { if (stale) changed(); };
document.addEventListener("focusout", () => setTimeout(moved));
document.addEventListener("selectionchange", () => { if (getSelection().isCollapsed) moved(); });
document.addEventListener("visibilitychange", () => { if (!document.hidden) { tell(); moved(); } });

function link(state, text) {
  const line = $("live");
  if (line.dataset.state === state) return;
  line.dataset.state = state;
  line.textContent = text;
}

let events;
let retry;
let wait = 1000;
function stop() {
  clearTimeout(retry);
  events?.close();
}

function connect() {
  stop();
  link("wait", "connecting…");
  events = new EventSource(document.body.dataset.live);
  events.onopen = () => {
    wait = 1000;
    link("live", "live");
    changed(); // what happened between the page, or the last event, and now
  };
  events.onerror = () => {
    link("lost", "reconnecting…");
    // The browser itself tries again after a lost connection, but gives up after an error status (a proxy's 502).
    if (events.readyState !== EventSource.CLOSED) return;
    changed(); // the end of the session would say the same: the page itself tells which it is
    retry = setTimeout(connect, wait);
    wait = Math.min(wait * 2, 15000);
  };
  events.addEventListener("change", changed);
}

// ---- start ----------------------------------------------------------------------------------------------------

set(document.body);
dress(document);
document.querySelector("form[data-go-on]")?.requestSubmit(); // a step of long work: the next one by itself
$("faults")?.focus();
// An address that names a place on the page takes the focus from there once it is loaded.
addEventListener("load", () => { if (document.activeElement === document.body) $("faults")?.focus(); });
if (location.hash === "#q") $("q")?.focus();
if (document.body.dataset.live && shown.size) {
  connect();
  // A browser allows few connections per host: a page left behind must not hold one.
  addEventListener("pagehide", stop);
  addEventListener("pageshow", (e) => { if (e.persisted) { connect(); changed(); } });
}
