// An issuer of OpenID Connect on loopback, as Telegram is one: it asks the person, and exchanges codes for tokens once, for
// the client and the verifier that they were given to (OpenID Connect Core 1.0, RFC 7636).

import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { json, page, serve } from "./http.mjs";

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

export class Issuer {
  client = "123456789";
  secret = "of-a-double";
  /** What it says of the person. */
  claims = { sub: "4711", name: "Claude Chappe" };
  #keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
  #granted = new Map();
  #server;

  static async start() {
    const issuer = new Issuer();
    issuer.#server = await serve((request) => issuer.#answer(request));
    return issuer;
  }

  get url() { return this.#server.url; }
  get origin() { return this.url; }
  close() { this.#server.close(); }

  #answer({ method, path, query, headers, body }) {
    const { url } = this;
    switch (`${method} ${path}`) {
      case "GET /.well-known/openid-configuration":
        return json({
          issuer: url, authorization_endpoint: `${url}/auth`, token_endpoint: `${url}/token`, jwks_uri: `${url}/keys`,
          response_types_supported: ["code"], subject_types_supported: ["public"],
          id_token_signing_alg_values_supported: ["ES256"], code_challenge_methods_supported: ["S256"],
          token_endpoint_auth_methods_supported: ["client_secret_basic"],
        });
      case "GET /keys":
        return json({ keys: [{ ...this.#keys.publicKey.export({ format: "jwk" }), kid: "1", use: "sig", alg: "ES256" }] });
      case "GET /auth": {
        const right = query.get("response_type") === "code" && query.get("client_id") === this.client;
        if (!right) return { status: 400, body: "" };
        return page("Telegram", "May this gateway know who you are?", [["yes", "Agree"], ["no", "Refuse"]]);
      }
      case "POST /auth": return { to: this.#back(query, new URLSearchParams(body).get("do") === "yes") };
      case "POST /token": return this.#exchange(headers.authorization, new URLSearchParams(body));
      default: return { status: 404, body: "" };
    }
  }

  #back(query, agreed) {
    const back = new URL(query.get("redirect_uri"));
    back.searchParams.set("state", query.get("state"));
    if (agreed) {
      const code = randomBytes(16).toString("base64url");
      this.#granted.set(code, query);
      back.searchParams.set("code", code);
    } else {
      back.searchParams.set("error", "access_denied");
    }
    return back.href;
  }

  #exchange(authorization, form) {
    const basic = Buffer.from(`${this.client}:${this.secret}`).toString("base64");
    if (authorization !== `Basic ${basic}`) return json({ error: "invalid_client" }, 401);
    const asked = this.#granted.get(form.get("code"));
    this.#granted.delete(form.get("code"));
    const challenge = createHash("sha256").update(form.get("code_verifier") ?? "").digest("base64url");
    const good = asked && asked.get("code_challenge") === challenge && asked.get("code_challenge_method") === "S256"
      && form.get("grant_type") === "authorization_code" && form.get("redirect_uri") === asked.get("redirect_uri");
    if (!good) return json({ error: "invalid_grant" }, 400);
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: this.url, aud: this.client, iat: now, exp: now + 60, nonce: asked.get("nonce"), ...this.claims };
    const signed = `${encode({ alg: "ES256", kid: "1", typ: "JWT" })}.${encode(claims)}`;
    const signature = sign("sha256", Buffer.from(signed), { key: this.#keys.privateKey, dsaEncoding: "ieee-p1363" });
    return json({
      access_token: "unused", token_type: "Bearer", expires_in: 60, id_token: `${signed}.${signature.toString("base64url")}`,
    });
  }
}
