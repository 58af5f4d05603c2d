// What every speaker has to do: two members announce one VIP to a router, all real, and the router's kernel has to hold a
// route whatever happens to one of them. The router is BIRD.
import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Announced, RouterStatus } from "@holdfast/announcer";
import { type Host, Lab, until } from "@holdfast/testkit";

const BIRD = "/usr/sbin/bird";
const PROGRAM = fileURLToPath(
  new URL("../../packages/announcer/src/bgp/announce-by-line.ts", import.meta.url),
);
const VIP = "203.0.113.1";
const ROUTER = "198.18.0.254";
/** What a machine with a load of thirty holds. */
const BFD_MS = 200;

export interface SpeakerKind {
  readonly speaker: "bird" | "gobgp";
  readonly program: string;
  /** Name of the process. */
  readonly command: string;
}

/** A member: a process with the announcer in it, and what it said last. */
class Speaking {
  readonly host: Host;
  readonly directory: string;
  #child: ChildProcess | undefined;
  state: { announced: readonly Announced[]; routers: readonly RouterStatus[] } = {
    announced: [],
    routers: [],
  };
  log = "";

  readonly #kind: SpeakerKind;

  constructor(lab: Lab, host: Host, kind: SpeakerKind) {
    this.#kind = kind;
    this.host = host;
    this.directory = join(lab.directory, `${host.name}.bgp`);
  }

  start(router: object = {}): void {
    const { speaker, program } = this.#kind;
    const address = this.host.addresses("wire")[0];
    const configuration = {
      routerId: address,
      announce: [],
      holdDownMs: 500,
      routers: [
        {
          ...{ name: "tor", address: ROUTER, as: 65_000, localAs: 65_001, holdS: 30, ttlSecurity: false },
          ...{
            ipv6: false,
            extendedNextHop: false,
            passive: false,
            bfd: { intervalMs: BFD_MS, multiplier: 3 },
          },
          ...router,
        },
      ],
    };
    const child = this.host.spawn(
      process.execPath,
      [
        "--disable-warning=ExperimentalWarning",
        PROGRAM,
        JSON.stringify({ speaker, program, directory: this.directory, configuration }),
      ],
      { stdio: ["pipe", "pipe", "pipe"] },
    );
    this.#child = child;
    if (child.stdout !== null)
      createInterface({ input: child.stdout }).on("line", (line) => {
        this.state = JSON.parse(line) as typeof this.state;
      });
    child.stderr?.on("data", (data) => {
      this.log += String(data);
    });
  }

  order(order: object): void {
    this.#child?.stdin?.write(`${JSON.stringify(order)}\n`);
  }

  announce(rank: number): void {
    this.order([{ vip: VIP, rank }]);
  }

  get session(): RouterStatus | undefined {
    return this.state.routers[0];
  }

  get speakerPid(): number | undefined {
    const pid = this.#child?.pid;
    if (pid === undefined) return undefined;
    const children = this.host
      .run("cat", [`/proc/${pid}/task/${pid}/children`])
      .trim()
      .split(" ");
    const found = children.find((child) => {
      try {
        return readFileSync(`/proc/${child}/comm`, "utf8") === `${this.#kind.command}\n`;
      } catch {
        return false;
      }
    });
    return found === undefined ? undefined : Number(found);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await ended;
  }

  /** The log has this behind its first `from` characters: earlier cases have said much of it before. */
  async says(text: RegExp, from: number): Promise<void> {
    await until(`${this.host.name} to say ${text}`, () => text.test(this.log.slice(from)), 60_000);
  }

  async isUp(): Promise<void> {
    await until(
      `${this.host.name}'s session with the router, BFD included`,
      () => this.session?.session === "Established" && this.session.bfd === "Up",
      60_000,
    );
  }
}

export function speakerSuite(name: string, kind: SpeakerKind): void {
  suite(`bgp announcer with ${name}`, { timeout: 240_000 }, () => {
    let lab: Lab;
    let router: Host;
    let m1: Speaking;
    let m2: Speaking;
    let changes = "";

    before(() => {
      lab = new Lab();
      lab.network("wire");
      router = lab.host("r", { wire: [`${ROUTER}/24`] });
      m1 = new Speaking(lab, lab.host("m1", { wire: ["198.18.0.1/24"] }), kind);
      m2 = new Speaking(lab, lab.host("m2", { wire: ["198.18.0.2/24"] }), kind);
      const file = join(lab.directory, "router.conf");
      const member = (n: number) => `
protocol bgp m${n} {
  local as 65000; neighbor 198.18.0.${n} as 65001; passive on; bfd on; med metric; hold time 30;
  error wait time 1,2; ipv4 { import all; export none; };
}`;
      writeFileSync(
        file,
        `router id ${ROUTER}; log stderr all; protocol device { }
protocol bfd { interface "*" { interval ${BFD_MS} ms; idle tx interval 200 ms; multiplier 3; }; }
protocol kernel { ipv4 { import none; export all; }; }${member(1)}${member(2)}\n`,
      );
      router.spawn(
        "chrt",
        [
          "-f",
          "10",
          BIRD,
          "-f",
          "-c",
          file,
          "-s",
          join(lab.directory, "router.ctl"),
          "-P",
          join(lab.directory, "router.pid"),
        ],
        {
          stdio: "ignore",
        },
      );
      const monitor = router.spawn("ip", ["monitor", "route"], { stdio: ["ignore", "pipe", "ignore"] });
      monitor.stdout?.on("data", (data) => {
        changes += String(data);
      });
    });
    after(() => lab.close());

    /** Through whom the router's kernel sends the VIP's packets. */
    const via = () => /via (\S+)/.exec(router.run("ip", ["route", "show", VIP]))?.[1];
    const goesTo = (member: Speaking) =>
      until(
        `the router to send to ${member.host.name}`,
        () => via() === member.host.addresses("wire")[0],
        60_000,
      );
    /** The router sent to a member at some time since `from`. */
    const wentTo = (member: Speaking, from: number) =>
      until(`the router to send to ${member.host.name} for a while`, () =>
        changes.slice(from).includes(`via ${member.host.addresses("wire")[0]} `),
      );
    /** Times that the kernel's route vanished without another in its place, since `from`. */
    const gaps = (from: number) =>
      changes
        .slice(from)
        .split("\n")
        .filter((line) => line.startsWith(`Deleted ${VIP} `)).length;
    const told = () =>
      router.run("birdc", ["-s", join(lab.directory, "router.ctl"), "show", "route", "all", `${VIP}/32`]);

    test("the owner is preferred, the successor is held beside it", async () => {
      m1.start();
      m2.start();
      m1.announce(0);
      m2.announce(1);
      await Promise.all([m1.isUp(), m2.isUp()]);
      await goesTo(m1);
      await until("the router to hold both", () => told().match(/BGP\.med/g)?.length === 2);
      assert.match(told(), /BGP\.as_path: 65001\n[\s\S]*BGP\.med: 10\n[\s\S]*BGP\.community: \(65001,1\)/);
      assert.match(
        told(),
        /BGP\.as_path: 65001 65001\n[\s\S]*BGP\.med: 20\n[\s\S]*BGP\.community: \(65001,2\)/,
      );
      await until("no trouble", () => m1.state.announced[0]?.trouble === undefined);
      assert.deepEqual(m1.state.announced[0]?.places, ["tor"]);
      assert.deepEqual(m2.session?.routes[0]?.reason, "this member is successor number 1");
    });

    test("a planned move, better first and worse after, leaves no moment without a route", async () => {
      for (const [to, from] of [
        [m2, m1],
        [m1, m2],
      ] as const) {
        const mark = changes.length;
        to.announce(0);
        await until(
          "the router to hear of the better one",
          () => told().match(/BGP\.med: 10/g)?.length === 2,
        );
        from.announce(1);
        await goesTo(to);
        assert.equal(gaps(mark), 0, changes.slice(mark));
      }
    });

    test("a member that dies takes its speaker with it, and the router has the way around already", async () => {
      const mark = changes.length;
      await m1.kill("SIGKILL");
      await goesTo(m2);
      assert.equal(gaps(mark), 0, changes.slice(mark));
      m2.announce(0);
      m1.start();
      m1.announce(1);
      await m1.isUp();
      await until("the router to hold both again", () => told().match(/BGP\.med/g)?.length === 2);
    });

    test("a speaker that is killed is said, started again, and told everything anew", async () => {
      await m1.isUp();
      const pid = m2.speakerPid;
      assert(pid !== undefined);
      const [mark, from] = [changes.length, m2.log.length];
      process.kill(pid, "SIGKILL");
      await wentTo(m1, mark);
      await m2.says(/does not run|ended by SIGKILL/, from);
      await m2.isUp();
      await goesTo(m2);
      assert.notEqual(m2.speakerPid, pid);
      assert((m2.session?.flapCount ?? 0) >= 1);
    });

    test("a speaker that hangs is ended and started again", async () => {
      await m1.isUp();
      const pid = m2.speakerPid;
      assert(pid !== undefined);
      const [mark, from] = [changes.length, m2.log.length];
      process.kill(pid, "SIGSTOP");
      await wentTo(m1, mark);
      await m2.says(/the speaker is ended/, from);
      await until(
        "another speaker at m2",
        () => m2.speakerPid !== undefined && m2.speakerPid !== pid,
        30_000,
      );
      await m2.isUp();
      await goesTo(m2);
    });

    test("a daemon whose main loop hangs stops announcing, and begins again when it goes on", async () => {
      await m1.isUp();
      const [mark, from] = [changes.length, m2.log.length];
      m2.order({ block: 5_000 });
      await wentTo(m1, mark);
      await m2.says(/this process stood still/, from);
      await goesTo(m2);
      await m2.isUp();
    });

    test("a daemon that is stopped (SIGSTOP) stops announcing, says so, and begins again", async () => {
      await m1.isUp();
      const pid = m2.speakerPid;
      assert(pid !== undefined);
      const from = m2.log.length;
      m2.signal("SIGSTOP");
      await goesTo(m1);
      m2.signal("SIGCONT");
      await m2.says(/this process stood still/, from);
      await m2.isUp();
      await goesTo(m2);
      assert.notEqual(m2.speakerPid, pid);
    });

    test("a graceful stop tells the router, which goes on with the other", async () => {
      const mark = changes.length;
      m1.announce(0);
      m2.order([{ vip: VIP, rank: "leaving" }]);
      await goesTo(m1);
      assert.match(told(), /BGP\.community: .*\(65535,0\)/);
      m2.order({ stop: true });
      await until("the router to hold one", () => told().match(/BGP\.med/g)?.length === 1);
      assert.equal(gaps(mark), 0, changes.slice(mark));
    });

    test("a password that the router does not know is named as what it may be", async () => {
      await m2.kill("SIGKILL");
      m2.start({ password: "nobody knows it" });
      // The member says what is so when it is asked, or something changes.
      const word = () => {
        m2.announce(0);
        return /passwords differ/.test(m2.session?.info ?? "");
      };
      await until("a word on it", word, 60_000, 500);
      assert.notEqual(m2.session?.session, "Established");
    });

    test("another program on port 179 is said, and the speaker is tried until it is gone", async () => {
      await m2.kill("SIGKILL");
      m1.announce(1);
      const words = ["-e", "require('node:net').createServer().listen(179, '::', () => console.log(1))"];
      const stranger = m2.host.spawn(process.execPath, words, { stdio: ["ignore", "pipe", "ignore"] });
      await new Promise((resolve) => stranger.stdout?.once("data", resolve));
      const from = m2.log.length;
      m2.start();
      m2.announce(0);
      await until("a word on it", () => m2.session?.session === "Down" && m2.session.info !== "", 60_000);
      await m2.says(/the speaker ended.*the speaker ended/s, from);
      stranger.kill("SIGKILL");
      await m2.isUp();
      await goesTo(m2);
    });

    test("a router that cannot be had is named with what the speaker says of it", async () => {
      await m2.kill("SIGKILL");
      m2.start({ address: "198.18.0.253" });
      m2.announce(0);
      await until(
        "trouble",
        () => m2.state.announced[0]?.trouble === "no router has a session with this member",
      );
      await until("a reason", () => ["Connect", "Active"].includes(m2.session?.session ?? ""));
      assert.deepEqual(m2.state.announced[0]?.places, []);
    });
  });
}
