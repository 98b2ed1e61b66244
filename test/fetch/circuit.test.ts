import { beforeEach, describe, expect, it } from "@jest/globals";
import { Circuit } from "../../src/fetch/circuit.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";
import type { ProviderFailure } from "../../src/providers/contract.ts";

const down = (message = "down", retryAfterMs?: number): ProviderFailure => ({
  reason: "ProviderUnreachable",
  scope: "provider",
  message,
  ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
});

let clock: FakeClock;
let circuit: Circuit;
let recovered: number;

beforeEach(() => {
  clock = new FakeClock();
  recovered = 0;
  circuit = new Circuit(clock, () => recovered++);
});

const open = (failure = down()) => {
  for (const question of ["a", "b", "c"]) circuit.failed(question, failure, false);
};

describe("the circuit", () => {
  it("opens when three questions fail and none succeeds between, and not when one fails thrice", async () => {
    for (let time = 0; time < 5; time++) circuit.failed("a", down(), false);
    circuit.failed("b", down(), false);
    expect(await circuit.admit()).toBe("call");
    circuit.succeeded();
    circuit.failed("c", down(), false);
    circuit.failed("d", down(), false);
    expect(await circuit.admit()).toBe("call");
    circuit.failed("e", down("last"), false);
    expect(await circuit.admit()).toEqual(down("last"));
  });

  it("opens at once for what concerns all", async () => {
    circuit.failed("a", down(), true);
    expect(await circuit.admit()).toEqual(down());
  });

  it("lets one call out after a second; the others wait for how it ends", async () => {
    open();
    await clock.advance(999);
    expect(await circuit.admit()).toEqual(down());
    await clock.advance(1);
    expect(await circuit.admit()).toBe("probe");
    let other: unknown;
    void circuit.admit().then((admission) => (other = admission));
    await settle();
    expect(other).toBeUndefined();
    circuit.failed("a", down("still"), false);
    await settle();
    expect(other).toEqual(down("still"));
    expect(recovered).toBe(0);
    await clock.advance(1_000);
    expect(await circuit.admit()).toBe("probe");
    void circuit.admit().then((admission) => (other = admission));
    circuit.succeeded();
    await settle();
    expect(other).toBe("call");
    expect(recovered).toBe(1);
    circuit.succeeded();
    expect(recovered).toBe(1);
  });

  it("waits as long as the provider asks, and a second at least", async () => {
    open(down("busy", 30_000));
    await clock.advance(29_999);
    expect(await circuit.admit()).toMatchObject({ message: "busy" });
    await clock.advance(1);
    expect(await circuit.admit()).toBe("probe");
    circuit.failed("a", down("soon", 10), false);
    await clock.advance(999);
    expect(await circuit.admit()).toMatchObject({ message: "soon" });
  });

  it("starts to count anew after it was open", async () => {
    open();
    circuit.succeeded();
    circuit.failed("a", down(), false);
    circuit.failed("b", down(), false);
    expect(await circuit.admit()).toBe("call");
  });
});
