/**
 * `make fuzz`: looks for the input that holds everybody else up for longest, among specs, payloads, patterns and names as
 * hostile as they may be. FUZZ_SECONDS (60), FUZZ_SEED (of the day). Exit code 1 when a turn is longer than it may be.
 */
import { styleText } from "node:util";
import { longestTurns } from "./search.ts";

const LONGEST_MS = 50;
const seconds = Number(process.env["FUZZ_SECONDS"] ?? 60);
const seed = Number(process.env["FUZZ_SEED"] ?? Math.floor(Date.now() / 86_400_000));

process.stderr.write(`looking for the longest turn, for ${seconds} s, from seed ${seed}\n`);
let told = performance.now();
const { tried, longest } = longestTurns(seconds, seed, (count, worst) => {
  if (performance.now() - told < 10_000) return;
  told = performance.now();
  process.stderr.write(`  ${count} inputs, longest ${worst?.milliseconds.toFixed(1)} ms (${worst?.what})\n`);
});
for (const { what, milliseconds, seed: of, index } of longest) {
  const isFine = milliseconds <= LONGEST_MS;
  const mark = styleText(isFine ? "green" : "red", isFine ? "✔" : "✘");
  process.stdout.write(
    `${mark} ${what.padEnd(8)} ${milliseconds.toFixed(1).padStart(7)} ms   seed ${of}, input ${index}\n`,
  );
}
process.stdout.write(`${tried} inputs tried; a turn may take ${LONGEST_MS} ms\n`);
process.exitCode = longest.some(({ milliseconds }) => milliseconds > LONGEST_MS) ? 1 : 0;
