import { styleText } from "node:util";

/** Steps of long work on a terminal: one line a step, with the time it took; a heartbeat where nothing moves. */

const colour = (format: Parameters<typeof styleText>[0], text: string) =>
  styleText(format, text, { stream: process.stderr, validateStream: true });

const elapsed = (since: number): string => {
  const seconds = (performance.now() - since) / 1000;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
};

/** Runs a step and says when it starts, that it still runs (every 15 s) and how it ended. */
export async function step<T>(title: string, work: () => Promise<T>): Promise<T> {
  const since = performance.now();
  const tty = process.stderr.isTTY;
  const show = (mark: string, end: string) =>
    process.stderr.write(`${tty ? "\r\x1b[2K" : ""}${mark} ${title} ${colour("dim", elapsed(since))}${end}`);
  if (tty) show(colour("cyan", "▸"), "");
  const beat = setInterval(() => show(colour("cyan", "▸"), tty ? "" : "\n"), tty ? 250 : 15_000);
  try {
    const result = await work();
    clearInterval(beat);
    show(colour("green", "✔"), "\n");
    return result;
  } catch (error) {
    clearInterval(beat);
    show(colour("red", "✘"), "\n");
    throw error;
  }
}

/** A line beside the steps, for what a person who waits wants to know. */
export const note = (text: string): void => void process.stderr.write(`${colour("dim", text)}\n`);
