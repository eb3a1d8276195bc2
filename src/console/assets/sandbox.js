// Makes the built-in phone live. The page is complete without this file; here it only gains: messages as they
// come (server-sent events), copying, actions without a reload, a running clock, keys.
// What a message says reaches the page through textContent alone, never as markup.
import { $, copy, keys, say, warn } from "./common.js";

const MOST = 200; // bubbles kept; older ones leave the page, not the server
const root = document.documentElement;
const list = $("list");
const scroller = $("messages");
const filter = $("filter").defaultValue.replace(/\D/g, "");
const bubbles = new Map(); // request_id → li
root.classList.add("js");

// ---- telling ----------------------------------------------------------------------------------------------

// The list itself is no live region: ticks and countdowns change in it all the time. `say`, one quiet line, speaks
// instead.
const title = document.title;
let unseen = 0;
let arrived = [];
let arrivedTimer;
function announce(m) {
  if (document.hidden) document.title = `(${++unseen}) ${title}`;
  if (scroller.scrollTop < -80) $("fresh").hidden = false;
  arrived.push(m);
  clearTimeout(arrivedTimer);
  arrivedTimer = setTimeout(() => {
    // Digits apart, so that they are read as digits; a burst is summed up.
    say(arrived.length > 2
      ? `${arrived.length} new codes`
      : arrived.map((a) => `New code ${[...a.code].join(" ")} for +${a.phone_number}`).join(". "));
    arrived = [];
  }, 300);
}
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) { unseen = 0; document.title = title; }
});

// ---- time -------------------------------------------------------------------------------------------------

// The server's clock, which `chappe dev` can move, not this machine's.
const parsed = Date.parse($("now").textContent.trim().replace(" ", "T").replace(" UTC", "Z"));
let ahead = Number.isNaN(parsed) ? 0 : parsed - Date.now();
const now = () => Math.floor((Date.now() + ahead) / 1000);
const iso = (s) => new Date(s * 1000).toISOString();
const clockText = (s) => `${iso(s).slice(11, 19)} UTC`;
const dayOf = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });

function remaining(s) {
  if (s < 60) return `${s} s`;
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")} min`;
}

function tick() {
  const t = now();
  $("now").textContent = `${iso(t).slice(0, 10)} ${clockText(t)}`;
  for (const li of list.children) {
    const { status, expires } = li.dataset;
    const rest = status === "sent" && expires ? Number(expires) - t : 0;
    const text = rest > 0 ? `expires in ${remaining(rest)}` : "";
    const left = li.querySelector(".left");
    if (left.textContent !== text) left.textContent = text;
  }
}

// ---- bubbles ----------------------------------------------------------------------------------------------

function label(li, code) {
  // A hundred buttons called "Copy code" say little out of context.
  for (const b of li.querySelectorAll("button")) b.setAttribute("aria-label", `${b.textContent} ${code}`);
}

function make(m) {
  const li = $("msg").content.firstElementChild.cloneNode(true);
  const part = (c) => li.querySelector(`.${c}`);
  li.dataset.id = m.request_id;
  li.dataset.sent = m.sent_at;
  if (m.sender_username) part("from").textContent = `@${m.sender_username}`;
  else part("from").remove();
  part("to").textContent = `+${m.phone_number}`;
  part("to").href = `/sandbox?phone_number=${encodeURIComponent(m.phone_number)}`;
  for (const verb of ["read", "delivered", "failed"]) {
    part(verb).formAction = `/sandbox/messages/${encodeURIComponent(m.request_id)}/${verb}`;
  }
  li.classList.add("in");
  return li;
}

// A control may vanish under the person who just used it: their focus then moves to the bubble's Copy button.
function withdraw(li, selector) {
  const el = li.querySelector(selector);
  if (!el) return;
  const had = el.contains(document.activeElement);
  el.remove();
  if (had) li.querySelector(".copy").focus();
}

function paint(li, m) {
  li.dataset.status = m.delivery_status;
  if (m.expires_at == null) delete li.dataset.expires;
  else li.dataset.expires = m.expires_at;
  li.querySelector(".code").textContent = m.code;
  li.querySelector(".text").textContent = m.text;
  li.querySelector(".time").textContent = clockText(m.sent_at);
  li.querySelector(".st").textContent = m.delivery_status;
  if (m.delivery_status !== "sent") withdraw(li, ".sim");
  if (m.delivery_status !== "sent" && m.delivery_status !== "delivered") withdraw(li, ".read");
  label(li, m.code);
}

function put(m) {
  if (!m || !m.request_id || (filter && m.phone_number !== filter)) return;
  let li = bubbles.get(m.request_id);
  const isNew = !li;
  if (isNew) {
    li = make(m);
    bubbles.set(m.request_id, li);
    let before = null; // oldest first; ids follow the clock, and tell apart what was sent within one second
    const later = (el) => Number(el.dataset.sent) - m.sent_at || (el.dataset.id > m.request_id ? 1 : -1);
    for (let el = list.lastElementChild; el && later(el) > 0; el = el.previousElementSibling) before = el;
    list.insertBefore(li, before);
    while (list.children.length > MOST) drop(list.firstElementChild);
  }
  paint(li, m);
  // What is put in above others is old: the list was asked for more than the page came with.
  if (isNew && !li.nextElementSibling) announce(m);
  settle();
}

function drop(li) {
  bubbles.delete(li.dataset.id);
  li.remove();
}

// What depends on the list as a whole; once per frame, however many events came.
let settling = false;
function settle() {
  if (settling) return;
  settling = true;
  setTimeout(() => {
    settling = false;
    const none = !list.firstElementChild;
    $("empty").hidden = !none;
    $("send").hidden = none;
    list.hidden = none;
    let day = "";
    for (const li of list.children) {
      const d = dayOf.format(Number(li.dataset.sent) * 1000);
      if (d !== day) li.dataset.day = d;
      else delete li.dataset.day;
      day = d;
    }
    tick();
  }, 16);
}

// ---- the server -------------------------------------------------------------------------------------------

const json = { Accept: "application/json" };

async function call(path, options = {}) {
  const answer = await fetch(path, { cache: "no-store", ...options, headers: { ...json, ...options.headers } });
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  return answer;
}

let clears = 0;
let touched = null; // while the list is on its way: what events said meanwhile is newer than the answer
let again = false;
async function refresh() {
  if (touched) { again = true; return; }
  touched = new Set();
  const before = clears;
  try {
    const query = filter ? `?phone_number=${filter}` : "";
    const rows = (await (await call(`/sandbox/messages${query}`)).json()).reverse();
    if (clears !== before) { again = true; return; }
    const here = new Set(rows.map((m) => m.request_id));
    for (const [id, li] of bubbles) if (!here.has(id) && !touched.has(id)) drop(li);
    for (const m of rows) if (!touched.has(m.request_id)) put(m);
    settle();
  } catch {
    // The events' own reconnect asks again.
  } finally {
    touched = null;
    if (again) { again = false; refresh(); }
  }
}

let live = false;
function link(state, text) {
  live = state === "live";
  if ($("link").dataset.state === state) return;
  $("link").dataset.state = state;
  $("link").textContent = text;
}

let events;
let wait = 1000;
let retry;
function connect() {
  clearTimeout(retry);
  if (events) events.close();
  events = new EventSource("/sandbox/events");
  // Whatever happened between the page (or the last event) and now is in the list.
  events.onopen = () => { wait = 1000; link("live", "live"); refresh(); };
  events.onerror = () => {
    link("lost", "reconnecting…");
    // The browser itself tries again after a lost connection, but gives up after an error status (a proxy's 502).
    if (events.readyState !== EventSource.CLOSED) return;
    retry = setTimeout(connect, wait);
    wait = Math.min(wait * 2, 15000);
  };
  events.addEventListener("message", (e) => {
    let m;
    try { m = JSON.parse(e.data); } catch { return; }
    if (touched) touched.add(m.request_id);
    put(m);
  });
  events.addEventListener("cleared", () => {
    clears++;
    list.replaceChildren();
    bubbles.clear();
    settle();
    say("All messages cleared");
  });
  events.addEventListener("clock", (e) => {
    try { ahead = JSON.parse(e.data).now * 1000 - Date.now(); } catch { return; }
    tick();
  });
}

// A browser allows few connections per host: a page left behind must not hold one.
addEventListener("pagehide", () => { clearTimeout(retry); events.close(); });
addEventListener("pageshow", (e) => { if (e.persisted) connect(); });

async function act(what, path, options) {
  try {
    await call(path, options);
    if (!live) refresh();
    return true;
  } catch (e) {
    warn(`${what} did not work: ${e.message}.`);
    return false;
  }
}

const send = {
  act: (b) => act(b.textContent, new URL(b.formAction).pathname, { method: "POST" }),
  clear: (b) => act(b.textContent, "/sandbox/messages", { method: "DELETE" }),
  clock: (b) => act("Moving the clock", "/sandbox/clock", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ advance_s: Number(b.value) }),
  }),
};
document.addEventListener("submit", async (e) => {
  const how = send[e.target.dataset.live];
  const b = e.submitter;
  if (!how || !b) return;
  e.preventDefault();
  if (b.dataset.busy) return; // a double click is one click, save where each is a step of the clock
  if (e.target.dataset.live !== "clock") b.dataset.busy = "1";
  const ok = await how(b);
  delete b.dataset.busy;
  if (ok && e.target.dataset.live === "clock") say(`Clock: ${$("now").textContent}`);
});

function markRead(li) {
  const b = li.querySelector(".read");
  if (b && !b.dataset.busy) b.click();
}

// ---- copying ----------------------------------------------------------------------------------------------

function copyCode(li) {
  copy(li.querySelector(".code").textContent, li.querySelector(".copy"));
  markRead(li);
}

document.addEventListener("click", (e) => {
  const b = e.target.closest("button");
  if (b) {
    if (b.dataset.copy) copy($(b.dataset.copy).textContent, b);
    else if (b.classList.contains("num")) copy(b.textContent, b);
    else if (b.classList.contains("copy")) copyCode(b.closest(".msg"));
    else if (b.dataset.open) $(b.dataset.open).showModal();
    else if (b.id === "fresh") toNewest();
    return;
  }
  // Looking at a message is reading it; selecting its text, or following its link, is not.
  const bubble = e.target.closest(".bubble");
  if (bubble && !e.target.closest("a") && getSelection().isCollapsed) {
    const li = bubble.closest(".msg");
    if (li) markRead(li);
  }
});

// ---- keys -------------------------------------------------------------------------------------------------

function toNewest() {
  scroller.scrollTop = 0; // the scroller runs bottom to top: 0 is the newest
  $("fresh").hidden = true;
  const li = list.lastElementChild;
  if (li) li.querySelector(".copy").focus({ preventScroll: true });
}
scroller.addEventListener("scroll", () => { if (scroller.scrollTop > -80) $("fresh").hidden = true; }, { passive: true });

const actions = {
  "/": () => { $("filter").focus(); $("filter").select(); },
  c: () => { if (list.lastElementChild) copyCode(list.lastElementChild); },
  n: toNewest,
  "?": () => $("keys").showModal(),
};
keys((key) => (Object.hasOwn(actions, key) ? actions[key] : undefined));

// ---- start ------------------------------------------------------------------------------------------------

for (const li of list.children) {
  bubbles.set(li.dataset.id, li);
  label(li, li.querySelector(".code").textContent);
}
// A magic number becomes a button that copies it; without this script it stays selectable text.
for (const code of document.querySelectorAll(".num")) {
  const b = document.createElement("button");
  b.type = "button";
  b.className = "num";
  b.title = "Copy";
  b.append(...code.childNodes);
  b.setAttribute("aria-label", `Copy ${b.textContent}`);
  code.replaceWith(b);
}
settle();
setInterval(tick, 1000);
connect();
