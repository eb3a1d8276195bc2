// A gateway that has everything it can be given: Stripe, a bot on Telegram and an issuer of OpenID Connect, each a double on
// loopback. Whoever imports this imports what asks for the gateway's address afterwards, by `await import`.

import { writeFile } from "node:fs/promises";
import { after } from "node:test";
import { Issuer } from "./doubles/issuer.mjs";
import { Stripe } from "./doubles/stripe.mjs";
import { Telegram } from "./doubles/telegram.mjs";
import { Gateway } from "./serve.mjs";

const gateway = await Gateway.prepare();
const [stripe, telegram, issuer] = await Promise.all([Stripe.start(), Telegram.start(), Issuer.start()]);
export { issuer, stripe, telegram };

await writeFile(`${gateway.home}/settings.toml`, `
public_url = "${gateway.url}"
[channels.bot]
kind = "telegram"
token = "${telegram.token}"
base_url = "${telegram.url}"
[funding.stripe]
secret_key = "${stripe.key}"
webhook_secret = "${stripe.secret}"
currency = "eur"
per_credit = 125
base_url = "${stripe.url}"
[funding.stars]
channel = "bot"
per_credit = 50
[console.oidc]
issuer = "${issuer.url}"
client_id = "${issuer.client}"
client_secret = "${issuer.secret}"
`);
await gateway.start(["--config", "settings.toml"]);
stripe.webhook = `${gateway.url}/funding/stripe`;
after(() => {
  for (const double of [stripe, telegram, issuer]) double.close();
});
