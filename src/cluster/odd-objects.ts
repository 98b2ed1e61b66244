import type { Logger } from "../telemetry/logger.ts";

/** Tells each pair of texts once, as long as it stays the same; of very many, only the latest are remembered. */
export function newNews(tell: (about: string, what: string) => void): (about: string, what: string) => void {
  const told = new Map<string, string>();
  return (about, what) => {
    if (told.get(about) === what) return;
    told.delete(about);
    told.set(about, what);
    if (told.size > MOST_REMEMBERED) told.delete(told.keys().next().value ?? "");
    tell(about, what);
  };
}

const MOST_REMEMBERED = 1_000;

/**
 * Objects that can't be taken as they are: each is passed over alone, counted, and named in the log once. The error's own
 * words may quote the object, so only its kind is told.
 */
export function newOddObjects(
  log: Logger,
  onOdd: (kind: string) => void,
): (kind: string, error: unknown, key: string) => void {
  const news = newNews((object, problem) =>
    log.warn({ object, problem }, "an object can't be read and is passed over; look at its metadata"),
  );
  return (kind, error, key) => {
    onOdd(kind);
    news(`${kind} ${key.slice(0, 512)}`, error instanceof Error ? error.name : "unknown");
  };
}
