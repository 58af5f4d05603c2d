// The announcer over a speaker that is a table: what it is ordered is what its router holds.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { type Address, silentLogger } from "@holdfast/model";
import { ManualClock } from "@holdfast/model/testing";
import { announcerCompliance } from "../compliance.ts";
import { BgpAnnouncer, type BgpOptions } from "./announcer.ts";
import type { BgpConfiguration, RouterConfiguration, SpeakerRoute } from "./configuration.ts";
import type { Speaker, SpeakerSession, SpeakerState } from "./speaker.ts";

const ROUTER: RouterConfiguration = {
  name: "tor",
  address: "198.18.0.254",
  as: 65_000,
  localAs: 65_001,
  ttlSecurity: false,
  holdS: 30,
  ipv6: true,
  extendedNextHop: false,
  passive: false,
};
const CONFIGURATION: BgpConfiguration = {
  routerId: "198.18.0.1",
  announce: [],
  holdDownMs: 3_000,
  routers: [ROUTER],
};

class TableSpeaker implements Speaker {
  readonly version = "a table";
  routes: readonly SpeakerRoute[] = [];
  told: BgpConfiguration | undefined;
  stopped = false;
  session: SpeakerSession = { session: "Established", bfd: undefined, info: "" };
  trouble: string | undefined;
  readonly #listeners: (() => void)[] = [];

  async start(): Promise<void> {}

  async apply(routes: readonly SpeakerRoute[], configuration?: BgpConfiguration): Promise<void> {
    this.routes = routes;
    this.told = configuration;
  }

  state(): SpeakerState {
    return {
      running: !this.stopped,
      trouble: this.trouble,
      sessions: new Map([[ROUTER.name, this.session]]),
      restartCount: 0,
      isRealtime: true,
      sourcePortMin: undefined,
    };
  }

  onState(listener: () => void): void {
    this.#listeners.push(listener);
  }

  tell(session: SpeakerSession): void {
    this.session = session;
    for (const listener of this.#listeners) listener();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.routes = [];
  }
}

function bgp(router: Partial<RouterConfiguration> = {}, details: BgpOptions["details"] = () => () => ({})) {
  const clock = new ManualClock();
  const speaker = new TableSpeaker();
  const announcer = new BgpAnnouncer({
    speaker,
    configuration: { ...CONFIGURATION, routers: [{ ...ROUTER, ...router }] },
    details,
    clock,
    logger: silentLogger,
  });
  return { clock, speaker, announcer };
}

announcerCompliance("bgp", () => {
  const { clock, speaker, announcer } = bgp();
  return {
    announcer,
    kind: "bgp",
    elapse: (ms) => clock.advance(ms),
    leads: (vip) => speaker.routes.find((route) => route.vip === vip)?.rank,
    ranked: true,
    mute: false,
    isHolding: () => !speaker.stopped || clock.timerCount > 0,
  };
});

suite("bgp announcer", () => {
  test("services are looked through once for all VIPs, whatever is asked", async () => {
    let lookCount = 0;
    const { announcer } = bgp({}, () => {
      lookCount++;
      return () => ({});
    });
    const vips = Array.from({ length: 1_000 }, (_, n): Address => `203.0.${n >> 8}.${n & 255}`);
    await announcer.announce(vips.map((vip) => ({ vip, rank: 0 })));
    assert.equal(lookCount, 1);
    assert.equal(announcer.announced().length, vips.length);
    assert.equal(lookCount, 2);
    assert.equal(announcer.routers()[0]?.routes.length, vips.length);
    assert.equal(lookCount, 3);
  });

  test("a lost session is a flap, with its time, and takes the router from where VIPs are announced", async () => {
    const { clock, speaker, announcer } = bgp();
    let told = 0;
    announcer.onStatus(() => told++);
    await announcer.announce([{ vip: "203.0.113.1", rank: 0 }]);
    assert.deepEqual(announcer.announced()[0]?.places, ["tor"]);
    clock.advance(5_000);
    speaker.tell({ session: "Active", bfd: undefined, info: "Socket: Connection refused" });
    const [router] = announcer.routers();
    assert.equal(router?.flapCount, 1);
    assert.equal(router?.sinceWallMs, clock.wallMs());
    assert.equal(router?.info, "Socket: Connection refused");
    assert.deepEqual(announcer.announced()[0]?.places, []);
    assert.equal(announcer.announced()[0]?.trouble, "no router has a session with this member");
    speaker.tell({ session: "Connect", bfd: undefined, info: "" });
    speaker.tell({ session: "Established", bfd: undefined, info: "" });
    assert.equal(announcer.routers()[0]?.flapCount, 1, "coming back is none");
    assert.equal(told, 3);
  });

  test("a speaker in trouble is the VIP's trouble, and counted", async () => {
    const { speaker, announcer } = bgp();
    speaker.trouble = "the speaker does not run: it was ended by SIGKILL";
    await announcer.announce([{ vip: "203.0.113.1", rank: 0 }]);
    assert.equal(announcer.announced()[0]?.trouble, speaker.trouble);
    assert.deepEqual(announcer.counters(), { sent: 0, sendFailures: 1, postponed: 0, speakerRestarts: 0 });
  });

  test("a VIP that no router gets is said at its owner, not at its successors", async () => {
    const { announcer } = bgp();
    await announcer.reconfigure({ ...CONFIGURATION, announce: [false] });
    await announcer.announce([
      { vip: "203.0.113.1", rank: 0 },
      { vip: "203.0.113.2", rank: 1 },
    ]);
    assert.deepEqual(
      announcer.announced().map(({ trouble }) => trouble),
      ["no router with a session gets it", undefined],
    );
  });

  test("after a loss its router is told the worst until the session has lasted, BFD included", async () => {
    const { clock, speaker, announcer } = bgp({ bfd: { intervalMs: 100, multiplier: 3 } });
    const med = () => announcer.routers()[0]?.routes[0]?.attributes?.med;
    await announcer.announce([{ vip: "203.0.113.1", rank: 0 }]);
    speaker.tell({ session: "Established", bfd: "Up", info: "" });
    assert.equal(med(), 10, "what was never lost is not held down");
    speaker.tell({ session: "Active", bfd: "Down", info: "" });
    assert.deepEqual(speaker.told?.heldDown, ["tor"], "it is ordered before the session is back");
    speaker.tell({ session: "Established", bfd: "Down", info: "" });
    clock.advance(CONFIGURATION.holdDownMs * 2);
    assert.equal(med(), 1_000, "nobody watches it");
    speaker.tell({ session: "Established", bfd: "Up", info: "" });
    clock.advance(CONFIGURATION.holdDownMs - 1);
    assert.equal(med(), 1_000);
    assert.match(announcer.routers()[0]?.routes[0]?.reason ?? "", /until it has lasted/);
    clock.advance(1);
    assert.equal(med(), 10);
    assert.deepEqual(speaker.told?.heldDown, []);
    await announcer.stop();
    assert.equal(clock.timerCount, 0);
  });

  test("a session that does not come is said to be unanswered after a while", () => {
    const { clock, speaker, announcer } = bgp();
    const info = () => announcer.routers()[0]?.info;
    speaker.tell({ session: "Connect", bfd: undefined, info: "" });
    clock.advance(9_000);
    speaker.tell({ session: "Active", bfd: undefined, info: "" });
    assert.equal(info(), "");
    clock.advance(1_000);
    assert.match(info() ?? "", /passwords differ/);
  });
});
