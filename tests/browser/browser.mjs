// A browser that tattles: whatever a page does that no page of Chappe should ever do fails the test that saw it.

import assert from "node:assert/strict";
import test, { after } from "node:test";
import { chromium } from "playwright-core";
import { BASE_URL, phone } from "./gateway.mjs";
import { keep } from "./html.mjs";

const { host, hostname } = new URL(BASE_URL);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: [
    "--no-sandbox", // containers run tests as root, where Chromium refuses to start with it
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // Even what slips past the watch below gets nowhere.
    `--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE ${hostname}`,
  ],
});
after(() => browser.close());

function watch(context, elsewhere) {
  const complaints = [];
  context.on("request", (request) => {
    const url = new URL(request.url());
    const known = url.host === host || url.protocol === "data:" || elsewhere.includes(url.origin);
    if (!known) complaints.push(`request to ${request.url()}`);
  });
  // A violation of the Content-Security-Policy is told on the console, and so is an answer of 400 or above.
  context.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`console: ${message.text()}`);
  });
  context.on("weberror", (error) => complaints.push(`exception: ${error.error()}`));
  context.on("dialog", (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  return complaints;
}

/** A test with an empty phone and a page of its own, which is not opened yet. `options` are those of the browser; `doubles`
    are where it may go beside the gateway, and `timeout` is how long it may take. */
export function scenario(name, { doubles = [], timeout = 30_000, ...options }, body) {
  test(name, { timeout }, async () => {
    await phone("DELETE", "messages");
    const context = await browser.newContext({ baseURL: BASE_URL, ...options });
    const complaints = watch(context, doubles.map(({ origin }) => origin));
    keep(context);
    for (const { origin, visit } of doubles.filter(({ visit }) => visit)) {
      // Their pages have addresses of the real ones, where nobody goes.
      await context.route(`${origin}/**`, async (route) => {
        const asked = route.request();
        const { status = 200, type = "text/plain", body = "", to } = await visit({
          url: asked.url(), method: asked.method(), body: asked.postData() ?? "",
        });
        // Whoever is sent on follows by themselves: what is put in for an answer leads nowhere.
        const text = to ? `<!doctype html><meta http-equiv="refresh" content="0;url=${to}">` : body;
        await route.fulfill({ status, contentType: to ? "text/html" : type, body: text });
      });
    }
    try {
      context.setDefaultTimeout(10_000);
      await body(await context.newPage(), complaints);
      assert.deepEqual(complaints, []);
    } catch (error) {
      // Often the reason why something else was waited for in vain.
      if (complaints.length) console.error(`${name}:\n  ${complaints.join("\n  ")}`);
      throw error;
    } finally {
      await context.close();
    }
  });
}

/** Opens the sandbox and waits until it hears of what happens. */
export async function openLive(page, path = "/sandbox") {
  await page.goto(path);
  await page.getByText("live", { exact: true }).waitFor();
}

/** The bubble of a message. */
export const bubble = (page, message) => page.getByRole("listitem").filter({ hasText: message.code });

/** Waits until the page says that a message has this status. */
export const shows = (page, message, status) =>
  bubble(page, message).locator(".st").getByText(status, { exact: true }).waitFor();

/** The codes on the page, oldest first. */
export const codes = (page) => page.getByRole("listitem").locator(".code").allTextContents();
