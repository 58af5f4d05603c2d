// Established connections beside a flood: numbered records flow to and fro. What keeps them from it must be
// the flood and not the missing processor: beside as many packets to a port that nobody has, which cost a
// member least, the same records are counted; when even those suffer the machine is starved, and that is
// said.
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { Enemy, EnemyOrder } from "./enemy.ts";
import type { SteadyClient } from "./steady.ts";

const SLICE_MS = 3_000;
const ROUND_COUNT = 6;
/** Of the records that go out unhindered. */
const KEPT = 0.95;

export interface Flood extends Omit<EnemyOrder, "durationMs"> {
  /** The same, to a port that nobody has. */
  readonly beside: Uint8Array;
  /** Between two records of a connection of the client's. */
  readonly intervalMs: number;
  /** Called within each slice of the flood. */
  readonly during?: () => Promise<void>;
}

/** Fails when the flood costs more than a twentieth of the records; returns how many packets were sent. */
export async function keepRate(
  t: TestContext,
  client: SteadyClient,
  enemy: Enemy,
  { beside: unserved, intervalMs, during, ...order }: Flood,
): Promise<number> {
  let sent = 0;
  let [best, bestBeside] = [0, 0];
  // What disturbs a slice makes it slower and never faster.
  for (let round = 0; round < ROUND_COUNT && best < KEPT; round++) {
    const beside = await kept(client, enemy, { ...order, packet: unserved }, intervalMs);
    const under = await kept(client, enemy, order, intervalMs, during);
    sent += under.sent;
    [best, bestBeside] = [Math.max(best, under.share), Math.max(bestBeside, beside.share)];
    t.diagnostic(
      `${Math.round(under.perSecond)} a second: ${percent(under.share)} of the records came back in time; ` +
        `beside ${Math.round(beside.perSecond)} to a port that nobody has ${percent(beside.share)}`,
    );
  }
  const { resets, closed, wrong } = await client.report();
  assert.deepEqual({ resets, closed, wrong }, { resets: 0, closed: 0, wrong: 0 });
  if (best < KEPT && bestBeside < KEPT)
    t.diagnostic("starved: packets to a port that nobody has hold the records up as well");
  else if (best < KEPT) assert.fail(`${percent(best)} of the records came back`);
  return sent;
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

/** The share of the records due in a slice that came back within it, beside a flood. */
async function kept(
  client: SteadyClient,
  enemy: Enemy,
  order: Omit<EnemyOrder, "durationMs">,
  intervalMs: number,
  during?: () => Promise<void>,
) {
  const before = await client.report();
  const startedAt = performance.now();
  const [{ sent, durationMs }] = await Promise.all([
    enemy.send({ ...order, durationMs: SLICE_MS }),
    during?.(),
  ]);
  const after = await client.report();
  const due = (client.count * (performance.now() - startedAt)) / intervalMs;
  return { share: (after.received - before.received) / due, perSecond: (sent / durationMs) * 1_000, sent };
}
