// The inbox's judge of signatures: a webhook on each line of standard input, a verdict on each line of standard output.
//
//   {id, secret, headers, body: base64 of the bytes received} -> {id, ok, reason: null | what is wrong}
//
// It ends when its standard input does, however the inbox ended.

import { createInterface } from "node:readline";
import { Webhook } from "standardwebhooks";

// Strict: `toString`, with which the package reads bytes, turns what is no UTF-8 into U+FFFD and then calls it signed.
const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function verdict({ id, secret, headers, body }) {
  try {
    new Webhook(secret).verify(text.decode(Buffer.from(body, "base64")), headers, { jsonParse: false });
    return { id, ok: true, reason: null };
  } catch (error) {
    return { id, ok: false, reason: error.message };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(verdict(JSON.parse(line)))}\n`);
}
