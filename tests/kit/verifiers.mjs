// What two npm packages think of webhooks: one on each line of standard input, the verdicts on a line of standard output.
//
//   {secret, headers, body: base64 of the bytes received} -> {"npm standardwebhooks": true | false, "npm svix": …}

import { createInterface } from "node:readline";
import { Webhook as Standard } from "standardwebhooks";
import { Webhook as Svix } from "svix";

// Strict: `toString`, with which both read bytes, turns what is no UTF-8 into U+FFFD and then calls it signed.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function verifies(Webhook, { secret, headers, body }) {
  try {
    new Webhook(secret).verify(utf8.decode(Buffer.from(body, "base64")), headers);
    return true;
  } catch {
    return false;
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const webhook = JSON.parse(line);
  const verdicts = { "npm standardwebhooks": verifies(Standard, webhook), "npm svix": verifies(Svix, webhook) };
  process.stdout.write(`${JSON.stringify(verdicts)}\n`);
}
