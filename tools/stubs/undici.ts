/**
 * Stands in for undici in the bundle (tools/build.ts). The client library's configuration module imports it for calls
 * of its own, which we never make; it would cost every operator a megabyte of code and 15 MiB of memory.
 */
export function Agent(): never {
  throw new Error("undici is not part of the bundle; requests go through src/kube/transport.ts");
}
export const ProxyAgent = Agent;
