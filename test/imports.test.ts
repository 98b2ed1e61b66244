import { describe, expect, it } from "@jest/globals";
import { globSync, readFileSync } from "node:fs";
import path from "node:path";

/**
 * The table of doors: which room may import from which. Changing the structure? Change the table, and ARCHITECTURE.md.
 * `types` may be imported as types only.
 */
const doors: Readonly<
  Record<
    string,
    {
      rooms: readonly string[];
      types?: readonly string[];
      /** Loaded on demand. */
      lazy?: readonly string[];
      packages: readonly string[];
    }
  >
> = {
  api: { rooms: [], packages: ["zod", "re2js"] },
  providers: {
    rooms: [],
    types: ["api", "kube", "runtime"],
    lazy: ["providers/aws", "providers/kubernetes", "providers/file"],
    packages: ["node:buffer", "node:dns", "node:net", "node:util"],
  },
  "providers/aws": {
    rooms: ["providers", "runtime"],
    types: ["api"],
    packages: ["@aws-sdk/client-secrets-manager", "node:net"],
  },
  "providers/kubernetes": { rooms: ["providers", "api", "kube"], types: ["runtime"], packages: [] },
  "providers/file": {
    rooms: ["providers", "runtime"],
    types: ["api"],
    packages: ["node:fs", "node:fs/promises", "node:path"],
  },
  credentials: { rooms: ["api", "kube", "plan"], types: ["providers", "runtime"], packages: [] },
  plan: { rooms: ["api", "providers"], types: ["kube"], packages: ["node:crypto"] },
  rollout: { rooms: ["api", "plan"], types: ["kube"], packages: [] },
  runtime: { rooms: [], packages: [] },
  fetch: { rooms: ["api", "plan", "runtime"], types: ["providers"], packages: [] },
  feeds: { rooms: ["plan", "runtime"], types: ["api", "fetch", "providers"], packages: [] },
  kube: {
    rooms: ["api", "runtime"],
    packages: [
      "@kubernetes/client-node/dist/config.js",
      "yaml",
      "node:http",
      "node:https",
      "node:readline",
      "node:tls",
    ],
  },
  telemetry: {
    rooms: [],
    types: ["runtime"],
    packages: [
      "pino",
      "pino-pretty",
      "prom-client",
      "node:http",
      "node:https",
      "node:net",
      "node:stream",
      "@opentelemetry/api",
      "@opentelemetry/context-async-hooks",
      "@opentelemetry/exporter-trace-otlp-http",
      "@opentelemetry/resources",
      "@opentelemetry/sdk-trace",
    ],
  },
  cli: {
    rooms: ["api", "kube"],
    packages: ["node:fs", "node:path", "node:util", "yaml", "zod"],
  },
  wire: {
    rooms: [
      ".",
      "api",
      "plan",
      "providers",
      "credentials",
      "rollout",
      "fetch",
      "feeds",
      "runtime",
      "kube",
      "telemetry",
      "cluster",
      "controllers",
      "controllers/secret-sync",
      "controllers/cluster-secret-sync",
    ],
    packages: ["node:net"],
  },
  cluster: { rooms: ["api", "plan", "rollout", "runtime", "kube"], types: ["telemetry"], packages: [] },
  controllers: {
    rooms: ["api", "plan", "runtime", "kube"],
    types: ["telemetry"],
    packages: ["node:crypto", "node:util"],
  },
  "controllers/cluster-secret-sync": {
    rooms: ["api", "plan", "runtime", "kube", "cluster", "controllers"],
    types: ["telemetry"],
    packages: [],
  },
  "controllers/secret-sync": {
    rooms: ["api", "plan", "providers", "rollout", "feeds", "runtime", "kube", "cluster", "controllers"],
    types: ["credentials", "fetch", "telemetry"],
    packages: ["node:crypto", "node:util"],
  },
};

interface Import {
  readonly file: string;
  readonly room: string;
  readonly target: string;
  readonly isType: boolean;
  readonly isLazy: boolean;
}

const roomOf = (file: string): string => path.dirname(path.relative("src", file));

const imports: readonly Import[] = globSync("src/**/*.ts").flatMap((file) => {
  const text = readFileSync(file, "utf8");
  const found = text.matchAll(
    /^(?:import|export)\s+(type\s)?[^"';]*?from\s+"([^"]+)";|^import\s+"([^"]+)";|import\("([^"]+)"\)/gms,
  );
  return [...found].map(([, type, from, bare, lazy]) => ({
    file,
    room: roomOf(file),
    target: from ?? bare ?? lazy ?? "",
    isType: type !== undefined,
    isLazy: lazy !== undefined,
  }));
});

const inside = imports.filter(({ room }) => room !== ".");

describe("the doors between rooms", () => {
  it("are known for every room", () => {
    expect([...new Set(globSync("src/**/*.ts").map(roomOf))].sort()).toEqual(
      [".", ...Object.keys(doors)].sort(),
    );
    expect(imports.length).toBeGreaterThan(150);
  });

  it.each(Object.keys(doors))("let %s import only what the table says", (room) => {
    const { rooms, types = [], lazy = [], packages } = doors[room]!;
    const wrong = inside
      .filter((each) => each.room === room)
      .filter(({ file, target, isType, isLazy }) => {
        if (!target.startsWith(".")) return !packages.includes(target);
        const other = roomOf(path.join(path.dirname(file), target));
        if (other === room || rooms.includes(other)) return false;
        return !(isType && types.includes(other)) && !(isLazy && lazy.includes(other));
      })
      .map(({ file, target }) => `${file} imports ${target}`);
    expect(wrong).toEqual([]);
  });

  it("lead downwards only: no room imports one that imports it", () => {
    const allowed = (from: string, to: string) =>
      [...(doors[from]?.rooms ?? []), ...(doors[from]?.types ?? [])].includes(to);
    const both = Object.keys(doors).flatMap((a) =>
      Object.keys(doors)
        .filter((b) => a < b && allowed(a, b) && allowed(b, a))
        .map((b) => `${a} and ${b}`),
    );
    expect(both).toEqual([]);
  });
});

/** What an idle operator shall not pay for. */
const onDemand = /^@opentelemetry\/|^@aws-sdk\/|^pino-pretty$/;

describe("what is loaded on demand", () => {
  it.each([
    "src/telemetry/otlp-tracing.ts",
    "src/kube/kubeconfig.ts",
    ...globSync("src/providers/*/module.ts"),
  ])("%s is so", (file) => {
    const importers = imports.filter(
      (each) => path.join(path.dirname(each.file), each.target) === file && !each.isType,
    );
    expect(importers.length).toBeGreaterThan(0);
    expect(importers.filter(({ isLazy }) => !isLazy)).toEqual([]);
  });

  it("leads to what is large, and nothing else does", () => {
    const large = imports.filter(({ target, isType }) => onDemand.test(target) && !isType);
    expect(new Set(large.map(({ file }) => file))).toEqual(
      new Set([
        "src/telemetry/logger.ts",
        "src/telemetry/otlp-tracing.ts",
        "src/providers/aws/secrets-manager.ts",
      ]),
    );
    const intoStores = imports.filter(({ room, file, target, isType }) => {
      const other = roomOf(path.join(path.dirname(file), target));
      return target.startsWith(".") && !isType && other.startsWith("providers/") && other !== room;
    });
    expect(new Set(intoStores.map(({ file }) => file))).toEqual(new Set(["src/providers/catalog.ts"]));
  });

  it("pino-pretty is so", () => {
    const importers = imports.filter(({ target }) => target === "pino-pretty");
    expect(importers.map(({ isLazy }) => isLazy)).toEqual([true]);
  });
});

describe("the core", () => {
  const files = (glob: string) => globSync(glob).map((file) => [file, readFileSync(file, "utf8")] as const);

  it.each(files("src/plan/*.ts"))("%s never waits, and reads no clock", (_file, text) => {
    expect(text).not.toMatch(
      /\bawait\b|\basync\b|Date\.now|new Date\(\)|performance\.|Math\.random|setTimeout/,
    );
  });

  it.each(files("src/**/*.ts").filter(([file]) => !["src/main.ts"].includes(file)))(
    "%s doesn't read process",
    (_file, text) => {
      expect(text).not.toMatch(/\bprocess\.(env|argv|exit|on|once)\b/);
    },
  );

  it.each(files("src/**/*.ts").filter(([file]) => !["src/runtime/clock.ts"].includes(file)))(
    "%s sets no timer of its own",
    (_file, text) => {
      expect(text).not.toMatch(/(?<![.\w])(setTimeout|setInterval)\(|\bDate\.now\(|\bperformance\.now\(/);
    },
  );
});
