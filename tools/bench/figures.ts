import { writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { LATENCY_MS } from "./objects.ts";
import { Yardstick } from "./yardstick.ts";

/** What was measured, beside its goals. */

interface Figure {
  readonly name: string;
  readonly size: number | undefined;
  readonly value: number;
  readonly goal: number | undefined;
  readonly unit: string;
  /** While it was measured, in milliseconds of performance.now(). */
  readonly from: number;
  readonly to: number;
}

const figures: Figure[] = [];
const yardstick = new Yardstick();
let [from, to] = [performance.now(), performance.now()];

export const note = (
  name: string,
  size: number | undefined,
  value: number,
  goal: number | undefined,
  unit: string,
) => {
  const now = performance.now();
  // Several figures may be of the same time.
  if (now - to > 1_000) from = to;
  to = now;
  figures.push({ name, size, value, goal, unit, from, to });
  const verdict = goal === undefined ? "" : value <= goal ? "✔" : "✘";
  process.stderr.write(
    `    ${name}${size ? ` (${size})` : ""}: ${format(value)} ${unit} ${goal === undefined ? "" : `(goal ${goal}) ${verdict}`}\n`,
  );
};
const format = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);

/** What was noted before; NaN where nothing was. */
export const noted = (name: string, size: number): number =>
  figures.find((figure) => figure.name === name && figure.size === size)?.value ?? NaN;

export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil((percent / 100) * sorted.length) - 1)] ?? NaN;
}

/** Prints the table; `whole`: writes it into docs, too. */
export function report({ whole }: { whole: boolean }): void {
  const speeds = figures.map(({ from, to }) => yardstick.speed(from, to));
  yardstick.stop();
  const rows = figures.map(({ name, size, value, goal, unit }, index) => {
    const met = goal === undefined ? "" : value <= goal ? "✔" : "✘";
    const speed = speeds[index];
    const percent = speed === undefined ? "" : `${(speed * 100).toFixed(0)} %`;
    return `| ${name} | ${size ?? ""} | ${format(value)} ${unit} | ${goal === undefined ? "" : `≤ ${goal}`} | ${met} | ${percent} |`;
  });
  const head = ["| figure | objects | measured | goal | | machine |", "|---|---:|---:|---:|---|---:|"];
  const table = [...head, ...rows].join("\n");
  process.stdout.write(`${table}\n`);
  if (!whole) return;
  const machine = `${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`;
  writeFileSync(
    "docs/benchmarks.md",
    `# Benchmarks

Written by \`make bench\` on ${machine}; the operator, a real kube-apiserver and etcd, and the AWS stand-in (${LATENCY_MS} ms a call) share those cores. The last column is the speed that the machine had meanwhile, as a share of its best in this run: it is shared, and half the speed doubles times and CPU. For machines: [benchmarks.json](benchmarks.json). What bounds the figures: [decision 16](decisions/0016-what-bounds-the-figures.md).

${table}
`,
  );
  const forMachines = figures.map(({ name, size, value, goal, unit }, index) => ({
    name,
    size,
    value,
    goal,
    unit,
    machineSpeed: speeds[index],
  }));
  writeFileSync("docs/benchmarks.json", `${JSON.stringify({ machine, figures: forMachines }, null, 2)}\n`);
}
