import * as fc from "fast-check";
import { hostile } from "./hostile.ts";
import { turnsOf, type Turn } from "./turns.ts";

/** The longest turn that a search through hostile inputs finds, and how to have it again. */
export interface Longest extends Turn {
  readonly seed: number;
  readonly index: number;
}

const BATCH = 20;

/**
 * What is found is tried again, since a turn may be long for reasons of the machine or of a compiler that has just begun: the
 * shortest of several tries counts.
 */
export function longestTurns(
  seconds: number,
  seed: number,
  onProgress?: (tried: number, longest: Longest | undefined) => void,
) {
  const until = performance.now() + seconds * 1_000;
  const longest = new Map<Turn["what"], Longest>();
  let tried = 0;
  for (let round = seed; performance.now() < until; round++) {
    for (const [index, input] of fc.sample(hostile, { seed: round, numRuns: BATCH }).entries()) {
      for (const turn of againIfLong(input, longest)) {
        if (turn.milliseconds > (longest.get(turn.what)?.milliseconds ?? 0))
          longest.set(turn.what, { ...turn, seed: round, index });
      }
      tried++;
      if (performance.now() >= until) break;
    }
    onProgress?.(tried, [...longest.values()].sort((a, b) => b.milliseconds - a.milliseconds)[0]);
  }
  return { tried, longest: [...longest.values()] };
}

const TRIES = 3;

function againIfLong(
  input: Parameters<typeof turnsOf>[0],
  longest: ReadonlyMap<Turn["what"], Turn>,
): readonly Turn[] {
  const worst = (): ReadonlyMap<Turn["what"], number> => {
    const found = new Map<Turn["what"], number>();
    for (const { what, milliseconds } of turnsOf(input))
      found.set(what, Math.max(found.get(what) ?? 0, milliseconds));
    return found;
  };
  let best = worst();
  const isNews = [...best].some(
    ([what, milliseconds]) => milliseconds > (longest.get(what)?.milliseconds ?? 0),
  );
  for (let more = isNews ? 1 : TRIES; more < TRIES; more++) {
    const again = worst();
    best = new Map(
      [...best].map(([what, milliseconds]) => [what, Math.min(milliseconds, again.get(what) ?? Infinity)]),
    );
  }
  return [...best].map(([what, milliseconds]) => ({ what, milliseconds }));
}
