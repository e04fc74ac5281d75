// Receives pollbridge's webhooks: `npm install standardwebhooks`, `WEBHOOK_SECRET=whsec_… node receiver.mjs`.

import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.env.WEBHOOK_SECRET);
const RETIRED = process.env.RETIRED === "1";
const BODY_LIMIT = 64 * 1024; // bytes; pollbridge sends 20 KB at most
const QUEUE_LIMIT = 1_000;
const REMEMBERED = 10_000;

// A service has tables for these: what ends with the program is gone, because what was answered 2xx isn't sent again.
const todo = []; // INSERT the event before you answer
const worked = new Map(); // webhook-id → true; INSERT it in the transaction that does the work
const versions = new Map(); // job key → the newest version; UPDATE jobs SET … WHERE key = ? AND version < ?

// Strict: what is no UTF-8 would otherwise be read as U+FFFD, and might then pass for what was signed.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

async function answer(request) {
  if (request.method !== "POST") return 405;
  if (!request.headers["content-length"]) return 411;
  if (Number(request.headers["content-length"]) > BODY_LIMIT) return 413;
  // The bytes as they came: JSON that was parsed isn't what was signed.
  const body = Buffer.concat(await request.toArray());
  let event;
  try {
    event = webhook.verify(utf8.decode(body), request.headers);
  } catch {
    return 401;
  }
  if (RETIRED) return 410; // pollbridge disables the destination, and sends no more
  if (todo.length >= QUEUE_LIMIT) return 503; // pollbridge sends it again
  if (todo.push([request.headers["webhook-id"], event]) === 1) setImmediate(work);
  return 202; // at once: pollbridge waits 10 seconds, and the work may take longer
}

async function work() {
  for (; todo.length; todo.shift()) {
    const [id, event] = todo[0];
    try {
      if (worked.has(id)) continue; // the same event may come more than once
      await take(event);
      remember(worked, id, true);
    } catch (error) {
      console.error(error);
    }
  }
}

// Your service's work. Let pass what it doesn't know: there may be new types.
async function take({ type, data }) {
  if (!type.startsWith("job.")) {
    console.log("passed", type);
  } else if (data.version <= (versions.get(data.job.key) ?? 0)) { // it must not overwrite what is newer
    console.log("late", data.job.key, data.version);
  } else {
    remember(versions, data.job.key, data.version);
    console.log("job", data.job.key, data.version, data.to.state);
  }
}

function remember(memory, key, value) {
  memory.delete(key);
  memory.set(key, value);
  if (memory.size > REMEMBERED) memory.delete(memory.keys().next().value); // the oldest
}

const server = createServer(async (request, response) => {
  try {
    response.writeHead(await answer(request), { "content-length": 0 }).end();
  } catch {
    response.destroy(); // the sender went away in the middle
  }
});
server.listen(Number(process.env.PORT ?? 8080), process.env.HOST ?? "127.0.0.1", () => {
  const { address, port } = server.address();
  console.log(`listening on http://${address}:${port}`);
});
