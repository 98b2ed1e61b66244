import { fork } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/**
 * How long /healthz takes to answer, and beside it a server that does nothing else: what both take is the machine's. They are asked
 * from a process of their own, as the kubelet does: in the attacker's it would be measured how busy the attacker is.
 */
export interface Health {
  /** Milliseconds of the longest answer. */
  readonly operator: number;
  readonly bareServer: number;
}

type Role = "watcher" | "bare server";
const EACH_MS = 50;

export async function watchHealth(url: string, stop: AbortSignal): Promise<Health> {
  const start = (role: Role, ...args: string[]) => fork(fileURLToPath(import.meta.url), [role, ...args]);
  const answer = <T>(child: ReturnType<typeof start>) =>
    new Promise<T>((resolve, reject) => {
      child.once("message", (message) => resolve(message as T));
      child.once("exit", () => reject(new Error("it ended without an answer")));
    });
  const bare = start("bare server");
  try {
    const watcher = start("watcher", `${url}/healthz`, await answer<string>(bare));
    stop.addEventListener("abort", () => watcher.send("stop"));
    return await answer<Health>(watcher);
  } finally {
    bare.kill();
  }
}

async function beWatcher(operator: string, bareServer: string): Promise<void> {
  const stop = new AbortController();
  process.once("message", () => stop.abort());
  const longestOf = async (address: string) => {
    let longest = 0;
    while (!stop.signal.aborted) {
      const since = performance.now();
      await (await fetch(address)).text();
      longest = Math.max(longest, performance.now() - since);
      await sleep(EACH_MS);
    }
    return longest;
  };
  const [ours, bare] = await Promise.all([longestOf(operator), longestOf(bareServer)]);
  process.send?.({ operator: ours, bareServer: bare } satisfies Health, () => process.exit());
}

function beBareServer(): void {
  const server = createServer((_request, response) => response.end("ok\n"));
  server.listen(0, "127.0.0.1", () =>
    process.send?.(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
  );
}

const [, , role, operator = "", bareServer = ""] = process.argv;
if (role === ("watcher" satisfies Role)) await beWatcher(operator, bareServer);
if (role === ("bare server" satisfies Role)) beBareServer();
