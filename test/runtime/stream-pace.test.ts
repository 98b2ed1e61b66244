import { describe, expect, it } from "@jest/globals";
import { newStreamPace } from "../../src/runtime/stream-pace.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";

/** How many of so many bytes come through within the seconds. */
async function throughIn(seconds: number, bytes: number): Promise<number> {
  const clock = new FakeClock();
  const take = newStreamPace(clock);
  let count = 0;
  void (async () => {
    for (;;) {
      await take(bytes);
      count++;
      if (count % 100 === 0) await Promise.resolve();
      if (count === 100_000) return;
    }
  })();
  await settle();
  for (let second = 0; second < seconds; second++) await clock.advance(1_000);
  return count;
}

describe("a stream of somebody else's", () => {
  it("is read as fast as it comes for a while, and then 50 events a second", async () => {
    const atOnce = await throughIn(0, 0);
    expect(atOnce).toBeGreaterThanOrEqual(1_000);
    expect(atOnce).toBeLessThanOrEqual(1_001);
    const later = (await throughIn(60, 0)) - atOnce;
    expect(later).toBeGreaterThanOrEqual(59 * 50);
    expect(later).toBeLessThanOrEqual(60 * 50);
  });

  it("is read by its bytes when its events are large", async () => {
    const size = 4 * 1024 * 1024;
    const atOnce = await throughIn(0, size);
    expect(atOnce).toBeLessThanOrEqual(3);
    expect((await throughIn(60, size)) - atOnce).toBeLessThanOrEqual(8);
  });
});
