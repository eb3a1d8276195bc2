// What every page's script shares: telling, copying, keys.

export const $ = (id) => document.getElementById(id);

/** Says something to those who cannot see it; nobody else is disturbed. */
export const say = (text) => { $("say").textContent = text; };

let toastTimer;
/** Tells everybody that something did not work. */
export function warn(text) {
  $("toast").textContent = text;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { $("toast").textContent = ""; }, 8000);
}

async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Plain http from another host than localhost has no clipboard API.
    const area = document.createElement("textarea");
    const focus = document.activeElement;
    area.className = "sr";
    area.value = text;
    document.body.append(area);
    area.select();
    let ok = false;
    try { ok = document.execCommand("copy"); } catch { /* told below */ }
    area.remove();
    if (focus) focus.focus({ preventScroll: true });
    return ok;
  }
}

/** Copies a text and says so on the button that asked for it. */
export async function copy(text, button) {
  if (!(await toClipboard(text))) { warn("Copying did not work. Select the text and copy it by hand."); return; }
  say(`Copied ${text.length > 40 ? "" : text}`);
  if (button.dataset.done) return;
  // Shown by the stylesheet over the label, so the button keeps its size and its name.
  button.dataset.done = "Copied";
  setTimeout(() => { delete button.dataset.done; }, 1400);
}

/** Single keys: `find` gives what a key does, or nothing. They can be turned off in the dialog that lists them: they
    hurt people who speak to their computer. */
export function keys(find) {
  const on = $("keys-on");
  if (!on) return;
  try { on.checked = localStorage.getItem("chappe-keys") !== "off"; } catch { /* storage may be forbidden */ }
  on.addEventListener("change", () => {
    try { localStorage.setItem("chappe-keys", on.checked ? "on" : "off"); } catch { /* then for this page only */ }
  });
  document.addEventListener("keydown", (e) => {
    if (!on.checked || e.ctrlKey || e.metaKey || e.altKey || e.repeat || $("keys").open) return;
    if (e.target.closest("input, textarea, select")) return;
    const act = find(e.key);
    if (!act) return;
    e.preventDefault();
    act();
  });
}
