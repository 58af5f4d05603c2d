// SIGSTOP and SIGCONT on a real member: its VIP moves away and back, and on its return it lets go before it
// settles.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";

const WAIT_MAX_MS = 20_000;
const VIP = "203.0.113.1";

interface Line {
  readonly owned?: readonly string[];
  readonly kind?: string;
  readonly displaced?: boolean;
  readonly started?: boolean;
}

class Member {
  readonly lines: Line[] = [];
  readonly child: ChildProcess;

  constructor(options: object) {
    const script = new URL("./frozen-member.ts", import.meta.url).pathname;
    this.child = spawn(process.execPath, [script, JSON.stringify(options)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    if (this.child.stdout === null) throw new Error("no output");
    createInterface(this.child.stdout).on("line", (line) => this.lines.push(JSON.parse(line) as Line));
  }

  owns(): boolean {
    return this.lines.findLast(({ owned }) => owned !== undefined)?.owned?.includes(VIP) ?? false;
  }
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const limitMs = performance.now() + WAIT_MAX_MS;
  while (!condition()) {
    assert(performance.now() < limitMs, `waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("a stopped member loses its VIP; continued, it learns that before it does anything, and gets it back", async () => {
  const port = 52_000 + (process.pid % 10_000);
  const members = ["alpha", "beta", "gamma"].map((name, number) => ({
    name,
    number,
    addresses: [{ network: "path-a", address: `127.0.14.${number + 1}`, port }],
  }));
  const services = [{ id: "s", vips: [{ vip: VIP, network: "path-a" }] }];
  const running = members.map(({ name }) => new Member({ self: name, members, secret: "s", services }));
  try {
    const owners = () => running.filter((member) => member.owns());
    await until("all have started", () => running.every(({ lines }) => lines.some(({ started }) => started)));
    await until("one of them owns the VIP", () => owners().length === 1);
    // While they start, the VIP may pass from the first that was ready to the one that stands first.
    let owner = owners()[0];
    let sinceMs = performance.now();
    await until("it stays there", () => {
      const [now, ...more] = owners();
      if (now !== owner || more.length > 0) {
        owner = now;
        sinceMs = performance.now();
      }
      return performance.now() - sinceMs > 700;
    });
    assert(owner !== undefined);
    const zombie = owner;
    zombie.child.kill("SIGSTOP");
    await until("another owns it", () => owners().some((member) => member !== zombie));
    const mark = zombie.lines.length;
    zombie.child.kill("SIGCONT");
    await until("it has it back, alone", () => {
      const [now, ...more] = owners();
      return zombie.lines.length > mark && now === zombie && more.length === 0;
    });
    const told = zombie.lines.slice(mark);
    assert(told.some(({ kind }) => kind === "frozen"));
    const accusedAt = told.findIndex(({ kind, displaced }) => kind === "accused" && displaced);
    const lostAt = told.findIndex(({ owned }) => owned?.length === 0);
    const backAt = told.findIndex(({ owned }) => owned?.includes(VIP));
    assert(accusedAt >= 0 && lostAt > accusedAt && backAt > lostAt, JSON.stringify(told));
  } finally {
    for (const { child } of running) {
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      child.kill("SIGCONT");
      await ended;
    }
  }
});
