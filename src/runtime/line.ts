/** Resolves when whoever serves the line calls what was added to it, which takes it out; rejects when the signal aborts first. */
export function waitInLine(line: Set<() => void>, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const turn = () => {
      line.delete(turn);
      signal?.removeEventListener("abort", giveUp);
      resolve();
    };
    const giveUp = () => {
      line.delete(turn);
      reject(signal?.reason as Error);
    };
    signal?.addEventListener("abort", giveUp, { once: true });
    line.add(turn);
  });
}

/** Whoever has waited longest. */
export function firstOf(line: ReadonlySet<() => void>): (() => void) | undefined {
  const [first] = line;
  return first;
}
