import type { Taken, WorkQueue } from "./work-queue.ts";

/**
 * Runs the handler for each key of the queue, so many at once, until the queue is closed; then waits for those under
 * way. The handler owns its errors: what it throws is a bug, and is handed to onBug.
 */
export async function runWorkers<Lane extends string>(options: {
  readonly queue: WorkQueue<Lane>;
  readonly concurrency: number;
  readonly handle: (taken: Taken<Lane>) => Promise<void>;
  readonly onBug: (error: unknown, taken: Taken<Lane>) => void;
}): Promise<void> {
  const { queue, concurrency, handle, onBug } = options;
  const worker = async () => {
    for (let taken = await queue.take(); taken; taken = await queue.take()) {
      try {
        await handle(taken);
      } catch (error) {
        onBug(error, taken);
      } finally {
        queue.done(taken.key);
      }
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
}
