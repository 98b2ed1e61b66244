/**
 * What must be undone when the process is told to end (Ctrl-C, TERM, a closed terminal): all of it, the latest first. A
 * second signal ends it at once.
 */
const cleanUps: (() => unknown)[] = [];
const codes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };
let installed = false;
let ending = false;

/** Returns a function that takes it back: it was undone already. */
export function atEnd(cleanUp: () => unknown): () => void {
  if (!installed) {
    installed = true;
    for (const signal of Object.keys(codes) as (keyof typeof codes)[])
      process.on(signal, () => void end(codes[signal]));
  }
  cleanUps.push(cleanUp);
  return () => {
    const index = cleanUps.indexOf(cleanUp);
    if (index >= 0) cleanUps.splice(index, 1);
  };
}

export async function end(code: number): Promise<never> {
  if (!ending) {
    ending = true;
    for (let last = cleanUps.pop(); last; last = cleanUps.pop())
      await Promise.resolve(last()).catch(() => undefined);
  }
  process.exit(code);
}

/** Stays up; from here on Ctrl-C is how it ends well. */
export function untilInterrupted(): Promise<never> {
  codes.SIGINT = 0;
  return new Promise(() => setInterval(() => undefined, 1 << 30));
}
