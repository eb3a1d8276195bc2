// How a page looks, in both schemes: what automatic checks know of accessibility, what fits where, and what the first load
// weighs.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import axe from "axe-core";

const FIRST_LOAD_MAX = 100 * 1024;
const { SCREENSHOTS } = process.env;

/** Without motion: what is still fading in has other contrasts. */
export const calm = { reducedMotion: "reduce", timeout: 120_000 };

/** Looks at a page in both schemes, wide and narrow, and at twice the size. */
export async function examine(page, name, { status = 200 } = {}) {
  // Evaluated by the debugger, which the page's policy does not bind.
  await page.evaluate(axe.source);
  for (const [colorScheme, width, zoom] of [
    ["light", 1280, 1], ["light", 320, 1], ["light", 1280, 2], ["dark", 320, 1], ["dark", 1280, 1],
  ]) {
    const look = `${name} (${status}), ${colorScheme}, ${width} px, ${zoom * 100} %`;
    await page.emulateMedia({ colorScheme });
    // Zooming makes a page narrower and its letters larger: the same to it as a narrower window.
    await page.setViewportSize({ width: width / zoom, height: Math.round(900 / zoom) });
    const overhang = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overhang <= 0, `${look}: the page is ${overhang} px too wide`);
    if (zoom === 1) {
      const { violations } = await page.evaluate(() => axe.run({ resultTypes: ["violations"] }));
      const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(" ")).join(", ")}`);
      assert.deepEqual(found, [], look);
    }
    if (SCREENSHOTS && zoom === 1) {
      await mkdir(SCREENSHOTS, { recursive: true });
      await page.screenshot({ path: `${SCREENSHOTS}/${name}-${colorScheme}-${width}.png`, fullPage: width !== 320 });
    }
  }
  await page.setViewportSize({ width: 1280, height: 900 });
}

/** Opens a page and waits for what it loads; weighs the first load. */
export async function visit(page, path) {
  const finished = [];
  const note = (request) => finished.push(request);
  page.on("requestfinished", note);
  const answer = await page.goto(path);
  await page.waitForLoadState("load");
  page.off("requestfinished", note);
  let weight = 0;
  for (const request of finished) {
    const { responseHeadersSize, responseBodySize } = await request.sizes();
    weight += responseHeadersSize + responseBodySize;
  }
  assert.ok(weight <= FIRST_LOAD_MAX, `${path}: ${weight} bytes`);
  return answer;
}
