import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address, VipDuty } from "@holdfast/model";
import type { MemberConfiguration } from "./configuration.ts";
import { type Coordinator, type CoordinatorEvent, startCoordinator } from "./coordinator.ts";
import type { ServicePlacement } from "./ownership/placement.ts";

/**
 * Real threads and sockets on the loopback; the figures of a death are the business of simulation and
 * benchmark.
 */
const WAIT_MAX_MS = 15_000;

async function until(what: string, condition: () => boolean): Promise<void> {
  const limitMs = performance.now() + WAIT_MAX_MS;
  while (!condition()) {
    assert(performance.now() < limitMs, `waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

let nextPort = 20_000 + (process.pid % 20_000);

function configuration(names: readonly string[]): MemberConfiguration[] {
  const port = nextPort++;
  return names.map((name, index) => ({
    name,
    number: index,
    addresses: [
      { network: "cluster", address: `127.0.11.${index + 1}`, port },
      { network: "path-a", address: `127.0.12.${index + 1}`, port },
    ],
  }));
}

const services: readonly ServicePlacement[] = [
  {
    id: "sctp/203.0.113.1:38412",
    vips: [
      { vip: "203.0.113.1", network: "path-a" },
      { vip: "203.0.114.1", network: "path-a" },
    ],
  },
];

test("three coordinators share VIPs, one is closed, the others take over; it returns, drains and leaves", async () => {
  const members = configuration(["alpha", "beta", "gamma"]);
  const running = new Map<string, Coordinator>();
  const duties = new Map<string, readonly VipDuty[]>();
  const events = new Map<string, CoordinatorEvent[]>();
  const start = async (name: string) => {
    const coordinator = await startCoordinator({ self: name, members, secret: "test secret" });
    const seen: CoordinatorEvent[] = [];
    running.set(name, coordinator);
    events.set(name, seen);
    coordinator.onEvent((event) => seen.push(event));
    coordinator.onDuties((next) => {
      duties.set(name, next);
    });
    coordinator.setServices(services);
    coordinator.setReadiness({ ready: true, caughtUp: true });
  };
  const owners = (vip: Address) =>
    [...running.keys()].filter((name) => duties.get(name)?.some((duty) => duty.vip === vip && duty.owned));
  /** Everybody agrees who should own the VIPs, and exactly those announce them. */
  const settled = () =>
    services[0]?.vips.every(({ vip }) => {
      const [owner, ...more] = owners(vip);
      const agreed = [...running.values()].every(
        (each) => each.vips().find((ownership) => ownership.vip === vip)?.owner === owner,
      );
      return owner !== undefined && more.length === 0 && agreed;
    }) === true && owners("203.0.113.1")[0] !== owners("203.0.114.1")[0];
  /** Of every VIP, in the order of the members. */
  const ranks = (vip: Address) =>
    [...running.keys()].map((name) => duties.get(name)?.find((duty) => duty.vip === vip)?.rank);
  try {
    for (const { name } of members) await start(name);
    await until("every member sees three", () =>
      [...running.values()].every((each) =>
        each.view().members.every(({ phase, ready }) => phase === "alive" && ready),
      ),
    );
    await until("each VIP has one owner, and not the same", settled);
    // Networks are heard a moment later than members.
    await until("each VIP is at the first of its list", () =>
      [...running.values()].every((each) =>
        each.vips().every(({ reasons }) => reasons[0]?.includes("stands first in the VIP's list")),
      ),
    );
    await until("each VIP has one owner, and not the same", settled);
    await until("each VIP has one member of each rank", () =>
      (["203.0.113.1", "203.0.114.1"] as const).every((vip) => [...ranks(vip)].sort().join() === "0,1,2"),
    );
    const [victim] = owners("203.0.113.1");
    assert(victim !== undefined);

    await running.get(victim)?.close();
    running.delete(victim);
    duties.delete(victim);
    await until("the VIP has another owner", settled);
    const [successor] = owners("203.0.113.1");
    assert(successor !== undefined);
    // The last: while the three came up, VIPs may have moved between them already.
    const move = events
      .get(successor)
      ?.findLast((event) => event.kind === "vipMoved" && event.from === victim);
    assert(move?.kind === "vipMoved");
    assert.equal(move.cause, "death");
    assert((move.detectionMs ?? 0) >= 60, `detected after ${move.detectionMs} ms`);
    const survivor = running.get(successor);
    await until("the dead member is passed over", () =>
      Boolean(survivor?.vips()[0]?.reasons.includes(`${victim} is passed over: it is dead`)),
    );

    await start(victim);
    await until("the VIP is back", () => owners("203.0.113.1").join() === victim);
    assert.equal(await running.get(victim)?.drain(), "drained");
    await until("somebody else has it", settled);
    await until("it stands last, as the last resort", () => ranks("203.0.113.1")[2] === 2);
    await running.get(victim)?.leave();
    running.delete(victim);
    await until("it has left", () =>
      [...running.values()].every((each) =>
        each.view().members.some(({ name, phase }) => name === victim && phase === "left"),
      ),
    );
    assert(settled());
  } finally {
    for (const coordinator of running.values()) await coordinator.close();
  }
});
