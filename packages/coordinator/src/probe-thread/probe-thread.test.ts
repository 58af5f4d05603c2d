// The promises of the probe thread, with real threads: a busy main loop is no death, a silent one loses its
// readiness, and the sign of life follows. Two members: this process, and a child that can be frozen.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { suite, test } from "node:test";
import { type Logger, silentLogger } from "@holdfast/model";
import type { MemberConfiguration } from "../configuration.ts";
import { type Coordinator, type CoordinatorEvent, startCoordinator } from "../coordinator.ts";

const WAIT_MAX_MS = 15_000;

async function until(what: string, condition: () => boolean): Promise<void> {
  const limitMs = performance.now() + WAIT_MAX_MS;
  while (!condition()) {
    assert(performance.now() < limitMs, `waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Blocks this thread, as a long garbage collection would. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

let nextPort = 41_000 + (process.pid % 10_000);

async function pair(change: Partial<Parameters<typeof startCoordinator>[0]> = {}) {
  const port = nextPort++;
  const members = ["alpha", "beta"].map(
    (name, number): MemberConfiguration => ({
      name,
      number,
      addresses: [{ network: "path-a", address: `127.0.13.${number + 1}`, port }],
    }),
  );
  const events: CoordinatorEvent[] = [];
  const both: Coordinator[] = [];
  for (const { name } of members) {
    const coordinator = await startCoordinator({ self: name, members, secret: "test secret", ...change });
    coordinator.onEvent((event) => events.push(event));
    coordinator.setReadiness({ ready: true, caughtUp: true });
    both.push(coordinator);
  }
  const [alpha, beta] = both as [Coordinator, Coordinator];
  const sees = (at: Coordinator, name: string) => at.view().members.find((member) => member.name === name);
  await until(
    "they see each other",
    () => sees(alpha, "beta")?.ready === true && sees(beta, "alpha")?.ready === true,
  );
  return { alpha, beta, events, sees, close: () => Promise.all(both.map((each) => each.close())) };
}

/** proc_pid_stat(5): field 41 is the policy, counted from what follows the name. */
const POLICY_INDEX = 38;
const SCHED_FIFO = "1";

/** Threads of this process that have a real-time priority. */
function realtimeThreads(): string[] {
  return readdirSync("/proc/self/task").filter((thread) => {
    const stat = readFileSync(`/proc/self/task/${thread}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[POLICY_INDEX] === SCHED_FIFO;
  });
}

suite("probe thread", () => {
  test("one thread a member runs before whatever has no real-time priority, or the log says why not", async () => {
    const warnings: string[] = [];
    const before = realtimeThreads().length;
    const logger: Logger = {
      ...silentLogger,
      warn: (_, text) => void warnings.push(text),
      child: () => logger,
    };
    const { close } = await pair({ logger });
    try {
      const told = () => warnings.filter((text) => text.includes("no real-time priority")).length;
      await until("both have it, or said", () => realtimeThreads().length - before + told() === 2);
    } finally {
      await close();
    }
  });

  test("a main loop that is busy for longer than a death takes is not a death", async () => {
    const { alpha, events, sees, close } = await pair();
    try {
      // Both main loops live in this thread, so both are silent; their probe threads talk on.
      block(600);
      await until("the main loop has read what came", () => (sees(alpha, "beta")?.silentMs ?? 1e9) < 150);
      assert.deepEqual(
        events
          .filter(({ kind }) => kind === "memberPhase")
          .filter((event) => "to" in event && event.to === "dead"),
        [],
      );
      assert.equal(sees(alpha, "beta")?.mainAlive, true);
    } finally {
      await close();
    }
  });

  test("the sign of life is beaten while the main loop lives, also when it is busy, and no longer when it is silent", async () => {
    const beats = new Int32Array(new SharedArrayBuffer(8));
    const moduleUrl = new URL("./counting-sign-of-life.ts", import.meta.url).href;
    const { alpha, sees, close } = await pair({
      signOfLife: { moduleUrl, data: beats },
      timing: { mainSilentMaxMs: 400 },
    });
    try {
      await until("it beats", () => Atomics.load(beats, 0) > 3);
      const before = Atomics.load(beats, 0);
      block(200);
      assert(Atomics.load(beats, 0) > before, "busy");
      block(700);
      // It fell silent 400 ms after the last pulse; what follows is only what is already under way.
      const silent = Atomics.load(beats, 0);
      block(200);
      assert.equal(Atomics.load(beats, 0), silent, "silent");
      await until("it beats again", () => Atomics.load(beats, 0) > silent);
      await until("the others know that it lives", () => sees(alpha, "beta")?.mainAlive === true);
    } finally {
      await close();
    }
    assert.equal(Atomics.load(beats, 1), 2, "closed once for each");
  });
});
