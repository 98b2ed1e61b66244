import { execFile } from "node:child_process";
import { connect, createServer, type Server } from "node:net";
import { promisify } from "node:util";

const run = promisify(execFile);

/**
 * An address of this machine that pods reach, in place of kube-proxy: connections to it go on to where something
 * listens.
 */
export interface Relay {
  readonly address: string;
  /** To a port of 127.0.0.1, or of another host. */
  forward(port: number, to: number, host?: string): Promise<void>;
  stop(): Promise<void>;
}

export async function startRelay(address: string): Promise<Relay> {
  const servers: Server[] = [];
  await run("ip", ["address", "replace", `${address}/32`, "dev", "lo"]);
  return {
    address,
    async forward(port, to, host = "127.0.0.1") {
      const server = createServer((incoming) => {
        const outgoing = connect(to, host);
        const end = () => {
          incoming.destroy();
          outgoing.destroy();
        };
        incoming.on("error", end).on("close", end).pipe(outgoing);
        outgoing.on("error", end).on("close", end).pipe(incoming);
      });
      servers.push(server);
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject).listen(port, address, resolve);
      });
      server.unref();
    },
    async stop() {
      for (const server of servers) server.close();
      await releaseAddress(address);
    },
  };
}

export const releaseAddress = async (address: string): Promise<void> =>
  void (await run("ip", ["address", "delete", `${address}/32`, "dev", "lo"]).catch(() => undefined));
