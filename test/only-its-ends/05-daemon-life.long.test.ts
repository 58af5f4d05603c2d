// A daemon and its service manager: it says when it is ready, reloads and stops, feeds the watchdog only
// while everything that it cannot be without lives, and ends when replication hangs for good. What it carried
// goes on without it.
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Cluster, type Member, type Peer, until } from "@holdfast/testkit";
import koffi from "koffi";

const ENGINE_THREAD = "holdfast-sync";
const PTRACE = { seize: 0x4206, interrupt: 0x4207, detach: 17 } as const;
const [WALL, NOHANG] = [0x40000000, 1];
const DONTWAIT = 0x40;
const SIGHUP = 1;

const libc = koffi.load("libc.so.6");
const call = {
  ptrace: libc.func("int64_t ptrace(int64_t request, int thread, uint64_t address, uint64_t data)"),
  waitpid: libc.func("int waitpid(int thread, void *status, int options)"),
  socket: libc.func("int socket(int domain, int type, int protocol)"),
  bind: libc.func("int bind(int fd, const uint8_t *address, uint32_t length)"),
  recv: libc.func("int64_t recv(int fd, uint8_t *bytes, size_t size, int flags)"),
  close: libc.func("int close(int fd)"),
};

/** The service manager's end of the notifications. */
class Manager {
  readonly path: string;
  readonly said: string[] = [];
  readonly #fd: number;

  constructor(path: string) {
    this.path = path;
    this.#fd = call.socket(1, 2, 0);
    const address = Buffer.concat([Buffer.from([1, 0]), Buffer.from(`${path}\0`)]);
    assert.equal(call.bind(this.#fd, address, address.length), 0);
  }

  heard(): readonly string[] {
    const bytes = Buffer.alloc(4_096);
    for (;;) {
      const length = Number(call.recv(this.#fd, bytes, bytes.length, DONTWAIT));
      if (length < 0) return this.said;
      this.said.push(bytes.toString("utf8", 0, length));
    }
  }

  close(): void {
    call.close(this.#fd);
  }
}

function catches(pid: number, signal: number): boolean {
  const caught = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "0";
  return (BigInt(`0x${caught}`) & (1n << BigInt(signal - 1))) !== 0n;
}

/** Stops one thread of a process as a hang does: the others go on. */
class HungThread {
  readonly #thread: number;

  constructor(pid: number, name: string) {
    const tasks = `/proc/${pid}/task`;
    const found = readdirSync(tasks).find(
      (id) => readFileSync(`${tasks}/${id}/comm`, "utf8").trim() === name,
    );
    assert.ok(found, `no thread ${name}`);
    this.#thread = Number(found);
    assert.equal(Number(call.ptrace(PTRACE.seize, this.#thread, 0, 0)), 0);
    assert.equal(Number(call.ptrace(PTRACE.interrupt, this.#thread, 0, 0)), 0);
    call.waitpid(this.#thread, Buffer.alloc(4), WALL);
  }

  release(): void {
    call.ptrace(PTRACE.detach, this.#thread, 0, 0);
  }

  /** A traced thread of an ended process is the tracer's to bury. */
  bury(): void {
    call.waitpid(this.#thread, Buffer.alloc(4), WALL | NOHANG);
  }
}

describe("a daemon under a service manager", () => {
  let cluster: Cluster;
  let member: Member;
  let manager: Manager;
  let client: Peer;
  const environment = { ...process.env };

  before(async () => {
    cluster = new Cluster({ clients: [2] });
    member = cluster.members[0] as Member;
    manager = new Manager(join(cluster.lab.directory, "notify"));
    process.env["NOTIFY_SOCKET"] = manager.path;
    process.env["WATCHDOG_USEC"] = "2000000";
    process.env["RUNTIME_DIRECTORY"] = cluster.lab.directory;
    await cluster.start();
    await cluster.startEndpoint();
    client = await cluster.startClient(0, { rate: 20 });
    await client.established(1);
  });
  after(async () => {
    process.env = environment;
    await cluster?.close();
    manager?.close();
  });

  const beats = () => manager.heard().filter((text) => text === "WATCHDOG=1").length;
  const moreBeats = async () => {
    const before = beats();
    await until("the watchdog to be fed", () => beats() > before);
  };
  const echoes = async () => (await client.associations())[0]?.echoes ?? 0;
  const moreEchoes = async () => {
    const before = await echoes();
    await until("messages to go on", async () => (await echoes()) > before + 20);
  };

  test("says that it is ready, how it is, and that it lives", async () => {
    assert.ok(manager.heard().includes("READY=1"));
    await until("the status to be told", () =>
      manager.heard().some((text) => /^STATUS=ready; 4 VIPs owned, 1 sessions, (tc|xdp)/.test(text)),
    );
    await moreBeats();
  });

  test("says that it reloads, and that it has", async () => {
    const before = manager.heard().length;
    member.signal("SIGHUP");
    await until("the reload to be told", () => {
      const said = manager.heard().slice(before);
      const at = said.findIndex((text) => /^RELOADING=1\nMONOTONIC_USEC=\d+$/.test(text));
      return at >= 0 && said.indexOf("READY=1") > at;
    });
  });

  test("is not ready while replication's thread hangs, does not feed the watchdog, and is again when it goes on", async () => {
    const moves = () => member.log().match(/VIP [\d.]+ moved/g)?.length ?? 0;
    const before = moves();
    const thread = new HungThread(member.pid as number, ENGINE_THREAD);
    try {
      await until(
        "readiness to be withdrawn",
        async () => {
          const { status, body } = await member.fetch("GET", "/v1/health/ready");
          return status === 503 && body.includes("its thread does not answer");
        },
        60_000,
      );
      const fed = beats();
      await until("the status to say so", () =>
        manager.heard().some((text) => text.startsWith("STATUS=not ready: replication")),
      );
      await moreEchoes();
      assert.equal(beats(), fed);
    } finally {
      thread.release();
    }
    await member.ready();
    await moreBeats();
    assert.equal(moves(), before, "nobody can take over from a member alone");
  });

  test("ends when it hangs for good; its data plane goes on, and the next start adopts it", async () => {
    const thread = new HungThread(member.pid as number, ENGINE_THREAD);
    await until(
      "the daemon to end",
      () => {
        thread.bury();
        manager.heard();
        return !member.running;
      },
      180_000,
      200,
    );
    assert.ok(member.crashed);
    assert.match(member.log(), /Replication's thread has not answered for 30 seconds/);
    await moreEchoes();
    await member.start();
    await moreEchoes();
    const [figures] = await client.settle();
    assert.ok(figures?.up && figures.ups === 1 && figures.lost === 0 && figures.restarts === 0);
  });

  test("says that it stops, and may take its time", async () => {
    assert.equal(await member.stop(), 0);
    assert.ok(manager.heard().some((text) => /^STOPPING=1\nEXTEND_TIMEOUT_USEC=\d+$/.test(text)));
  });

  test("takes a reload that is asked for while it starts", async () => {
    member.launch();
    await until("it to catch SIGHUP", () => catches(member.pid as number, SIGHUP), 60_000, 1);
    const configuration = JSON.parse(readFileSync(member.configFile, "utf8"));
    writeFileSync(member.configFile, JSON.stringify({ ...configuration, log: { level: "debug" } }));
    member.signal("SIGHUP");
    await member.ready();
    await until("the reload", () => member.log().includes('"msg":"reload: '));
    assert.equal(await member.stop(), 0);
  });

  test("waits before a start that follows failed ones, and forgets them after a stop", async () => {
    // As many kills as a start that holds never sees.
    for (let n = 0; n < 4; n++) {
      member.launch();
      await until("the start to be counted", () => {
        const file = join(cluster.lab.directory, "starts");
        try {
          return readFileSync(file, "utf8").startsWith(`${n + 1} `);
        } catch {
          return false;
        }
      });
      await member.killDaemon();
    }
    const before = manager.heard().length;
    await member.start();
    assert.ok(
      manager
        .heard()
        .slice(before)
        .some((text) => /^STATUS=waiting [\d.]+ s: the last 4 starts failed$/.test(text)),
      manager.said.slice(before).join("; "),
    );
    assert.equal(await member.stop(), 0);
    assert.ok(!readdirSync(cluster.lab.directory).includes("starts"));
  });
});
