// The HTML of every page that a suite opens, as the server wrote it: kept for the checker that ./run has look at it.

import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { BASE_URL } from "./gateway.mjs";

const { PAGES } = process.env;
const { host } = new URL(BASE_URL);

/** Keeps the pages that a context of the browser is given, under names that say where they were. */
export function keep(context) {
  if (!PAGES) return;
  mkdirSync(PAGES, { recursive: true });
  context.on("response", async (response) => {
    const url = new URL(response.url());
    const html = (response.headers()["content-type"] ?? "").startsWith("text/html");
    if (url.host !== host || !html) return;
    // A page that was left before it was read is not there any more.
    const text = await response.text().catch(() => "");
    if (!text) return;
    const where = `${response.request().method()} ${url.pathname} ${response.status()}`.replace(/[^A-Za-z0-9]+/g, "-");
    // One page of each shape: what it says of people and moments makes no other HTML of it.
    const shape = text.replace(/>[^<]*</g, "><").replace(/="[^"]*"/g, "");
    writeFileSync(`${PAGES}/${where}-${createHash("sha256").update(shape).digest("hex").slice(0, 8)}.html`, text);
  });
}
