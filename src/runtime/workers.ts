import type { Taken, WorkQueue } from "./work-queue.ts";

/**
 * Runs the handler for each key of the queue, so many at once, until the queue is closed; then waits for those under
 * way. A handler whose rest is light and may wait calls `free`, and its worker takes the next key; the key itself
 * stays taken until the handler ends. The handler owns its errors: what it throws is a bug, and is handed to onBug.
 */
export async function runWorkers<Lane extends string>(options: {
  readonly queue: WorkQueue<Lane>;
  readonly concurrency: number;
  readonly handle: (taken: Taken<Lane>, free: () => void) => Promise<void>;
  readonly onBug: (error: unknown, taken: Taken<Lane>) => void;
}): Promise<void> {
  const { queue, concurrency, handle, onBug } = options;
  const underWay = new Set<Promise<void>>();

  const finish = async (taken: Taken<Lane>, free: () => void) => {
    try {
      await handle(taken, free);
    } catch (error) {
      onBug(error, taken);
    } finally {
      queue.done(taken.key);
    }
  };

  const worker = async () => {
    for (let taken = await queue.take(); taken; taken = await queue.take()) {
      const { promise: freed, resolve } = Promise.withResolvers<void>();
      const { key } = taken;
      const free = () => {
        queue.free(key);
        resolve();
      };
      const finished = finish(taken, free);
      underWay.add(finished);
      void finished.then(() => underWay.delete(finished));
      await Promise.race([freed, finished]);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  await Promise.all(underWay);
}
