/**
 * Stands in for the generated models of the client library in the bundle: its configuration module imports all of
 * them for calls of its own, which we never make. They would cost every operator 12 MiB of memory.
 */
export function createConfiguration(): never {
  throw new Error("the client library's own calls are not part of the bundle; see src/kube/transport.ts");
}
export const ServerConfiguration = undefined;
