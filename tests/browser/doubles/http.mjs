// What the doubles of providers are made of: small HTTP servers on loopback, and pages for people.

import { createServer } from "node:http";

/** Serves requests by `answer`, which gets the method, the path, the headers and the body, and gives `{ status, type, body }`
    or `{ to }`, another address. */
export async function serve(answer) {
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const url = new URL(request.url, "http://double");
    const said = await answer({
      method: request.method,
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body: Buffer.concat(chunks).toString(),
    });
    const { status = said.to ? 303 : 200, type = "application/json", body = "", to } = said;
    response.writeHead(status, to ? { location: to } : { "content-type": type, "cache-control": "no-store" });
    response.end(body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

export const json = (body, status = 200) => ({ status, body: JSON.stringify(body) });

/** A page for a person, with a form whose buttons are named by what they say. */
export const page = (title, text, buttons) => ({
  type: "text/html; charset=utf-8",
  body: `<!doctype html><html lang="en"><title>${title}</title><link rel="icon" href="data:,"><h1>${title}</h1><p>${text}</p>
    <form method="post">${buttons.map(([value, label]) => `<button name="do" value="${value}">${label}</button>`).join(" ")}</form>`,
});
