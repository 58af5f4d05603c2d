// What only the BPF fast path does: life beyond the daemon, next hops, checksums that are not there yet, budgets.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { describe, test } from "node:test";
import { Worker } from "node:worker_threads";
import { CHUNK, encodeAbort, encodeChunk, encodeData, encodeInit, storeChecksum } from "@holdfast/sctp";
import { libc, setOption } from "../../kernel/libc.ts";
import { SOL_PACKET } from "../../kernel/numbers.ts";
import { openPacketSocket, sendFrame } from "../../kernel/packet-socket.ts";
import { labHarness, labObstacle, macText, makeLinks } from "../compliance/lab.ts";
import { hex, type Rig, recordPunts, total, until } from "../compliance/rig.ts";
import { SharedPlanes } from "../compliance/shared-planes.ts";
import {
  arriving,
  CLIENT_MTU,
  CORE_MTU,
  downFlow,
  ENDPOINTS,
  IPV4,
  IPV6,
  LOCAL,
  leaving,
  upFlow,
} from "../compliance/world.ts";
import type { FastPath } from "../port.ts";
import { type InterfaceFacts, interfaceFacts } from "../userspace/interface.ts";
import { type BpfFastPath, type BpfFastPathOptions, openBpfFastPath } from "./bpf-fast-path.ts";
import { tcxProgramIds } from "./links.ts";

const obstacle = labObstacle();
const { load } = new SharedPlanes();
const USUAL = { mode: "tc", flowCountMax: 4096, ringBytes: 1 << 18 } as const;
const data = encodeData({ tsn: 7, data: new Uint8Array(40).fill(0x61) });
const pinDirectory = `/sys/fs/bpf/holdfast-test-${process.pid}`;
const PACKET_VNET_HDR = 15;
const SCTP_CHECKSUM_OFFSET = 28;

const ip = (...words: string[]) => execFileSync("ip", words);

async function withRig(
  options: Partial<BpfFastPathOptions>,
  body: (rig: Rig & { readonly fastPath: BpfFastPath }) => Promise<void>,
): Promise<void> {
  const rig = await labHarness((interfaces) => open({ interfaces, ...options })).open({});
  prepare(rig.fastPath);
  try {
    await body(rig as Rig & { readonly fastPath: BpfFastPath });
  } finally {
    await rig.close();
  }
}

function open(options: Partial<BpfFastPathOptions>): Promise<BpfFastPath> {
  // Those that are pinned outlive who loaded them: that is what their tests are about.
  const shared = options.pinDirectory === undefined ? { load } : {};
  const interfaces = ["hfclient", "hfcore"];
  return openBpfFastPath({ ...USUAL, interfaces, ...shared, ...options });
}

function prepare(fastPath: FastPath): void {
  fastPath.setLocal(LOCAL);
  fastPath.setEndpoints(ENDPOINTS);
  fastPath.signOfLife();
}

/** Injects at the client's side until the condition holds; for what the kernel needs a moment to learn. */
async function injectUntil(
  rig: Rig,
  packet: Uint8Array,
  what: string,
  condition: () => boolean,
): Promise<void> {
  await until(what, () => {
    if (condition()) return true;
    rig.inject("client", packet);
    return false;
  });
}

describe("BPF fast path", { skip: obstacle ?? false }, () => {
  for (const family of [IPV4, IPV6]) {
    test(`${family.name}: established associations outlive the daemon, and the next one adopts them`, async () => {
      await withRig({ pinDirectory }, async (rig) => {
        const [up, down] = [upFlow(family), downFlow(family, { replyDestination: family.client2 })];
        assert.equal(rig.fastPath.adopted, false);
        assert.ok(rig.fastPath.install(up) && rig.fastPath.install(down));
        await rig.fastPath.detach();
        rig.inject("client", arriving(up, [data]));
        rig.inject("core", arriving(down, [data]));
        await until("both, without a daemon", () => {
          return rig.received("core").length === 1 && rig.received("client").length === 1;
        });
        assert.equal(hex(rig.received("core")[0]), hex(leaving(up, [data])));
        const next = await open({ pinDirectory, flowCountMax: 8192 });
        try {
          assert.equal(next.adopted, true);
          assert.equal(next.plane.flowCountMax, 4096);
          const found = new Map<string, number>();
          assert.equal(
            sweepAll(next, (flow, counters) => found.set(flow.direction, counters.packets)),
            2,
          );
          assert.deepEqual([...found].sort(), [
            ["down", 1],
            ["up", 1],
          ]);
          prepare(next);
          rig.inject("client", arriving(up, [data]));
          await until("one more", () => rig.received("core").length === 2);
          assert.equal(next.counters(up.key)?.packets, 2);
        } finally {
          await next.uninstall();
        }
        assert.equal(existsSync(pinDirectory), false);
        assertNothingAttached();
      });
    });
  }

  test("punts of the time without a daemon wait in the ring, with their age", async () => {
    await withRig({ pinDirectory, deadAfterMs: 60_000 }, async (rig) => {
      await rig.fastPath.detach();
      const flow = upFlow(IPV4);
      rig.inject("client", arriving(flow, [data]));
      const next = await open({ pinDirectory });
      try {
        const before = next.nowMs();
        const punts = recordPunts(next);
        next.start();
        await until("the old punt", () => punts.length === 1);
        assert.equal(punts[0]?.reason, "miss");
        assert.ok((punts[0]?.timeMs ?? Infinity) < before);
      } finally {
        await next.uninstall();
      }
    });
  });

  test("another mode's links give way, and the flows stay", async () => {
    for (const wire of ["client0", "core0"]) {
      makeLinks();
      execFileSync("ethtool", ["-K", wire, "gro", "on"]);
    }
    await withRig({ pinDirectory, mode: "xdp" }, async (rig) => {
      const up = upFlow(IPV4);
      assert.ok(rig.fastPath.install(up));
      for (const mode of ["xdp-generic", "tc", "xdp"] as const) {
        await rig.fastPath.detach();
        const next = await open({ pinDirectory, mode });
        assert.deepEqual([next.mode, next.adopted], [mode, true]);
        prepare(next);
        const count = rig.received("core").length;
        rig.inject("client", arriving(up, [data]));
        await until(`a packet through ${mode}`, () => rig.received("core").length === count + 1);
        if (mode === "xdp") await next.uninstall();
        else await next.detach();
      }
    });
    assert.equal(existsSync(pinDirectory), false);
  });

  test("a dead daemon's newcomers go to the VIP's successor, one hop older; nothing answers for the VIP", async () => {
    await withRig({ deadAfterMs: 200 }, async (rig) => {
      const link = rig.link;
      assert.ok(link);
      const mac = Uint8Array.of(2, 0, 0, 0, 0, 9);
      const successor = { interfaceIndex: rig.interfaces.core, mac };
      rig.fastPath.setLocal(LOCAL.map((local) => ({ ...local, successor })));
      const up = upFlow(IPV4);
      assert.ok(rig.fastPath.install(up));
      const init = arriving({ ...up, key: { ...up.key, sourcePort: 5 } }, [encodeInit({ initiateTag: 1 })], {
        tag: 0,
      });
      const diverted = () =>
        link.receivedFrames("core").filter((frame) => Buffer.from(mac).equals(frame.subarray(0, 6)));
      await injectUntil(rig, init, "an INIT at the successor", () => diverted().length > 0);
      const frame = diverted()[0] as Uint8Array;
      const older = arriving({ ...up, key: { ...up.key, sourcePort: 5 } }, [encodeInit({ initiateTag: 1 })], {
        tag: 0,
        hopLimit: 63,
      });
      assert.equal(hex(frame.subarray(14, 14 + older.length)), hex(older));
      assert.equal(hex(frame.subarray(6, 12)), hex(link.mac("core", "fastPath")));
      // Established associations do not notice.
      const forwarded = rig.received("core").length;
      rig.inject("client", arriving(up, [data]));
      await until("an established packet", () => {
        return rig
          .received("core")
          .slice(forwarded)
          .some((each) => hex(each) === hex(leaving(up, [data])));
      });
      // A packet that has been round too often ends here.
      rig.inject("client", arriving({ ...up, key: { ...up.key, sourcePort: 6 } }, [data], { hopLimit: 1 }));
      await until("the end of a loop", () => total(rig.fastPath, "drop.ttl-expired") === 1);
      // The sign of life comes back: the ring has the packets again.
      const punts = recordPunts(rig.fastPath);
      rig.fastPath.start();
      rig.fastPath.signOfLife();
      rig.inject("client", init);
      await until("a punt", () => punts.some(({ reason }) => reason === "init"));
    });
  });

  test("another thread shows the sign of life", async () => {
    await withRig({ deadAfterMs: 150, pinDirectory }, async (rig) => {
      const { moduleUrl, data: workerData } = rig.fastPath.signOfLifeModule;
      const worker = new Worker(
        `const { workerData, parentPort } = require("node:worker_threads");
         import(workerData.moduleUrl).then((module) => {
           const life = module.open(workerData.data);
           setInterval(() => life.beat(), 20);
           life.beat();
           parentPort.postMessage("beating");
         });`,
        { eval: true, workerData: { moduleUrl, data: workerData } },
      );
      try {
        await new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
        const punts = recordPunts(rig.fastPath);
        rig.fastPath.start();
        const startedAt = rig.fastPath.nowMs();
        // Longer than a daemon without a sign of life would be believed to live.
        await until("time", () => rig.fastPath.nowMs() - startedAt > 300);
        rig.inject("client", arriving(upFlow(IPV4), [data]));
        await until("a punt", () => punts.length === 1);
      } finally {
        await worker.terminate();
      }
    });
  });

  for (const mode of ["tc", "xdp"] as const) {
    test(`${mode}: a checksum that is not there yet is left to the device; one that is zero is changed`, async () => {
      await withRig({ mode }, async (rig) => {
        const [up, down] = [upFlow(IPV4), downFlow(IPV4)];
        assert.ok(rig.fastPath.install(up) && rig.fastPath.install(down));
        const partial = arriving(down, [data]);
        // What the device would complete: here an odd value, so that a change would show.
        partial.fill(0, SCTP_CHECKSUM_OFFSET, SCTP_CHECKSUM_OFFSET + 4);
        rig.link?.injectPartial("core", partial);
        await until("the packet", () => rig.received("client").length === 1);
        const expected = leaving(down, [data]);
        const got = rig.received("client")[0] as Uint8Array;
        assert.equal(
          hex(got.subarray(0, SCTP_CHECKSUM_OFFSET)),
          hex(expected.subarray(0, SCTP_CHECKSUM_OFFSET)),
        );
        assert.equal(hex(got.subarray(32)), hex(expected.subarray(32)));
        assert.equal(hex(got.subarray(SCTP_CHECKSUM_OFFSET, 32)), "00000000");
        // The same bytes without the mark: a checksum that happens to be zero, and is wrong, stays wrong.
        rig.inject("core", partial);
        await until("the packet", () => rig.received("client").length === 2);
        const changed = leaving(down, [data]);
        const right = Buffer.from(arriving(down, [data])).readUInt32LE(SCTP_CHECKSUM_OFFSET);
        const after = Buffer.from(changed).readUInt32LE(SCTP_CHECKSUM_OFFSET);
        storeChecksum(changed, 20, right ^ after);
        assert.equal(hex(rig.received("client")[1]), hex(changed));
      });
    });
  }

  test("chunks are seen where a packet lies in several pieces", async () => {
    const { facts } = makeLinks();
    const mtu = (value: number) => {
      for (const name of ["client0", "hfclient"]) ip("link", "set", name, "mtu", String(value));
    };
    mtu(9_000);
    try {
      await withRig({}, async (rig) => {
        const flow = upFlow(IPV4);
        assert.ok(rig.fastPath.install(flow));
        const punts = recordPunts(rig.fastPath);
        rig.fastPath.start();
        const long = encodeData({ tsn: 1, data: new Uint8Array(4_000).fill(0x62) });
        const packet = arriving(flow, [long, long, encodeAbort()]);
        injectInPieces(facts.client0, facts.hfclient, packet);
        await until("a punt", () => punts.length === 1);
        assert.equal(punts[0]?.reason, "control");
        assert.equal(hex(punts[0]?.packet), hex(packet));
        // Without the ABORT it is a packet like others, but for its size.
        const plain = arriving(flow, [long, long]);
        injectInPieces(facts.client0, facts.hfclient, plain);
        await until("a punt", () => punts.length === 2);
        assert.deepEqual([punts[1]?.reason, punts[1]?.mtu], ["tooBig", CORE_MTU]);
      });
    } finally {
      mtu(CLIENT_MTU);
    }
  });

  test("punts say that the checksum is not there yet", async () => {
    await withRig({}, async (rig) => {
      const punts = recordPunts(rig.fastPath);
      rig.fastPath.start();
      const init = arriving(upFlow(IPV4), [encodeInit({ initiateTag: 1 })], { tag: 0 });
      init.fill(0, SCTP_CHECKSUM_OFFSET, SCTP_CHECKSUM_OFFSET + 4);
      rig.link?.injectPartial("client", init);
      rig.inject("client", init);
      await until("both", () => punts.length === 2);
      assert.deepEqual(
        punts.map(({ checksumPartial }) => checksumPartial),
        [true, false],
      );
    });
  });

  for (const family of [IPV4, IPV6]) {
    test(`${family.name}: next hops follow neighbours and routes`, async () => {
      await withRig({}, async (rig) => {
        const { facts } = makeLinks();
        const endpoint = family === IPV4 ? "10.9.0.77" : "fd00:9::77";
        const up = upFlow(family, { newDestination: endpoint });
        const macs = () =>
          rig.link?.receivedFrames("core").map((frame) => macText(frame.subarray(0, 6))) ?? [];
        const packet = arriving(up, [data]);
        const hop = (mac: string) => ip("neigh", "replace", endpoint, "lladdr", mac, "dev", "hfcore");
        hop("02:00:00:00:00:11");
        assert.ok(rig.fastPath.install(up));
        await injectUntil(rig, packet, "the first MAC", () => macs().includes("02:00:00:00:00:11"));
        hop("02:00:00:00:00:12");
        await injectUntil(rig, packet, "the second MAC", () => macs().includes("02:00:00:00:00:12"));
        // A route through a gateway on the other link.
        const gateway = family === IPV4 ? "10.1.0.99" : "fd00:1::99";
        ip("neigh", "replace", gateway, "lladdr", macText(facts.client0.mac), "dev", "hfclient");
        const route = `${endpoint}/${family === IPV4 ? 32 : 128}`;
        ip("route", "replace", route, "via", gateway);
        try {
          await injectUntil(rig, packet, "the gateway", () =>
            (rig.link?.receivedFrames("client") ?? []).some((frame) =>
              hex(frame.subarray(14))?.includes("61616161"),
            ),
          );
        } finally {
          ip("route", "del", route);
        }
        const count = macs().filter((mac) => mac === "02:00:00:00:00:12").length;
        await injectUntil(rig, packet, "the link again", () => {
          return macs().filter((mac) => mac === "02:00:00:00:00:12").length > count;
        });
        ip("neigh", "del", endpoint, "dev", "hfcore");
      });
    });
  }

  test("a neighbour that is not resolved is asked for by the kernel, which keeps the packet", async () => {
    await withRig({}, async (rig) => {
      const up = upFlow(IPV4, { newDestination: "10.9.0.78" });
      assert.ok(rig.fastPath.install(up));
      const asked = () =>
        (rig.link?.receivedFrames("core") ?? []).some(
          (frame) => frame[12] === 8 && frame[13] === 6 && hex(frame.subarray(38, 42)) === "0a09004e",
        );
      await injectUntil(rig, arriving(up, [data]), "an ARP request", asked);
      assert.equal(total(rig.fastPath, "punt.noNextHop"), 0);
    });
  });

  test("a frame for another station is not forwarded", async () => {
    for (const mode of ["tc", "xdp"] as const) {
      await withRig({ mode }, async (rig) => {
        const up = upFlow(IPV4);
        assert.ok(rig.fastPath.install(up));
        const frame = Buffer.alloc(14 + arriving(up, [data]).length);
        frame.set([2, 0, 0, 0, 0, 0x42]);
        frame.writeUInt16BE(0x0800, 12);
        frame.set(arriving(up, [data]), 14);
        rig.link?.injectFrame("client", frame);
        rig.inject("client", arriving(up, [data, data]));
        await until("the sentinel", () => rig.received("core").length > 0);
        assert.equal(hex(rig.received("core")[0]), hex(leaving(up, [data, data])));
      });
    }
  });

  test("a flood fills its own ring and budget, not those of established associations", async () => {
    await withRig(
      { puntBudgets: { INIT: { perSecond: 1e6, burst: 1e6 }, PREFIX: { perSecond: 1e6, burst: 1e6 } } },
      async (rig) => {
        const up = upFlow(IPV4);
        assert.ok(rig.fastPath.install(up));
        for (let i = 0; i < 4_000; i++) {
          const key = { ...up.key, sourcePort: 1 + i };
          rig.inject("client", arriving({ ...up, key }, [encodeInit({ initiateTag: 1 + i })], { tag: 0 }));
        }
        const shutdown = encodeChunk(7, 0, new Uint8Array(4));
        rig.inject("client", arriving(up, [shutdown]));
        // What else has no flow yet finds room in the ring of INITs.
        const echo = encodeChunk(CHUNK.COOKIE_ECHO, 0, new Uint8Array(1_000));
        const key = { ...up.key, sourcePort: 5_000 };
        rig.inject("client", arriving({ ...up, key }, [echo]));
        await until("the COOKIE-ECHO to wait", () => total(rig.fastPath, "punt.handshake") === 1);
        await until("INITs too many", () => total(rig.fastPath, "drop.punt-rate") > 0);
        const punts = recordPunts(rig.fastPath);
        rig.fastPath.start();
        await until("the SHUTDOWN", () => punts.some(({ reason }) => reason === "control"));
        assert.equal(punts[0]?.reason, "control", "the established association's comes first");
      },
    );
    await withRig({ puntBudgets: { PREFIX: { perSecond: 1, burst: 10 } } }, async (rig) => {
      const up = upFlow(IPV4);
      for (let i = 0; i < 50; i++) {
        rig.inject(
          "client",
          arriving({ ...up, key: { ...up.key, sourcePort: 1 + i } }, [encodeInit({ initiateTag: 1 + i })], {
            tag: 0,
          }),
        );
      }
      await until("the limit", () => total(rig.fastPath, "drop.punt-rate") >= 38);
      assert.ok(total(rig.fastPath, "punt.init") <= 12);
      // What goes on with a handshake does not pay for them.
      const echo = encodeChunk(CHUNK.COOKIE_ECHO, 0, new Uint8Array(16));
      rig.inject("client", arriving({ ...up, key: { ...up.key, sourcePort: 5_000 } }, [echo]));
      await until("the COOKIE-ECHO", () => total(rig.fastPath, "punt.handshake") === 1);
      // Another prefix has a budget of its own.
      const key = { ...up.key, source: "10.77.0.1" } as const;
      const count = total(rig.fastPath, "punt.init");
      rig.inject("client", arriving({ ...up, key }, [encodeInit({ initiateTag: 9 })], { tag: 0 }));
      await until("the other prefix", () => total(rig.fastPath, "punt.init") === count + 1);
    });
  });

  test("an interface that goes and comes back is worked on again", async () => {
    makeLinks();
    const name = "hfplug";
    const plug = () => ip("link", "add", name, "type", "veth", "peer", "name", "plug0");
    plug();
    const fastPath = await open({ interfaces: ["hfclient", name] });
    try {
      prepare(fastPath);
      const before = interfaceFacts(name).index;
      assert.equal(tcxProgramIds(before).length, 1);
      ip("link", "del", name);
      plug();
      const after = interfaceFacts(name).index;
      assert.notEqual(after, before);
      await until("a new start", () => tcxProgramIds(after).length === 1);
    } finally {
      await fastPath.uninstall();
      ip("link", "del", name);
    }
  });

  test("what is wrong has its code", async () => {
    makeLinks();
    await assert.rejects(open({ interfaces: ["nothere"] }), { code: "INTERFACE_MISSING" });
    await assert.rejects(open({ interfaces: ["lo"] }), { code: "INTERFACE_NOT_ETHERNET" });
    await assert.rejects(open({ pinDirectory: "/tmp/holdfast" }), { code: "BPF_FS_UNAVAILABLE" });
    assertNothingAttached();
  });
});

/** Sends a packet of which the kernel keeps only the headers in one piece. */
function injectInPieces(near: InterfaceFacts, far: InterfaceFacts, packet: Uint8Array): void {
  const frame = Buffer.alloc(10 + 14 + packet.length);
  // struct virtio_net_hdr: hdr_len is how much is to be linear.
  frame.writeUInt16LE(14 + 20 + 12, 2);
  frame.set(far.mac, 10);
  frame.set(near.mac, 16);
  frame.writeUInt16BE(0x0800, 22);
  frame.set(packet, 24);
  const fd = openPacketSocket(near.index, (each) => setOption(each, SOL_PACKET, PACKET_VNET_HDR, 1));
  try {
    assert.ok(sendFrame(fd, frame));
  } finally {
    libc().close(fd);
  }
}

function assertNothingAttached(): void {
  const { facts } = makeLinks();
  for (const { index } of [facts.hfclient, facts.hfcore]) assert.deepEqual(tcxProgramIds(index), []);
  assert.doesNotMatch(execFileSync("ip", ["link"]).toString(), /xdp/);
}

function sweepAll(
  fastPath: FastPath,
  visit: (flow: Parameters<Parameters<FastPath["sweep"]>[1]>[0], counters: { packets: number }) => void,
): number {
  let count = 0;
  let cursor: unknown;
  do {
    cursor = fastPath.sweep(cursor, (flow, counters) => {
      count += 1;
      visit(flow, counters);
      return "keep";
    });
  } while (cursor !== undefined);
  return count;
}
