// Ways out that XDP cannot use, and programs of others on the same hook: every packet arrives all the same,
// and the fast path says which way it goes. With native XDP on veth pairs in a namespace of this process's
// own.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { before, describe, test } from "node:test";
import {
  arriving,
  type BpfFastPath,
  type BpfFastPathOptions,
  ENDPOINTS,
  IPV4,
  IPV6,
  LOCAL,
  labHarness,
  labObstacle,
  macText,
  makeLinks,
  openBpfFastPath,
  type Rig,
  total,
  until,
  upFlow,
} from "@holdfast/forwarder/testing/fast-path";
import { libbpf, libc, options } from "@holdfast/forwarder/testing/programs";
import { encodeData, encodeInit } from "@holdfast/sctp";
import koffi from "koffi";

const obstacle = labObstacle();
const data = encodeData({ tsn: 7, data: new Uint8Array(40).fill(0x61) });
const PACKET_COUNT = 50;
const pinDirectory = `/sys/fs/bpf/holdfast-egress-${process.pid}`;
const sh = (line: string) => execFileSync("sh", ["-ec", line], { stdio: ["ignore", "pipe", "pipe"] });
const gro = (wire: string, state: "on" | "off") => sh(`ethtool -K ${wire} gro ${state}`);

type EgressRig = Rig & { readonly fastPath: BpfFastPath };

async function withRig(
  settings: Partial<BpfFastPathOptions>,
  body: (rig: EgressRig) => Promise<void>,
): Promise<void> {
  const rig = (await labHarness((interfaces) =>
    openBpfFastPath({ mode: "xdp", interfaces, flowCountMax: 4096, ringBytes: 1 << 18, ...settings }),
  ).open({})) as EgressRig;
  try {
    rig.fastPath.setLocal(LOCAL);
    rig.fastPath.setEndpoints(ENDPOINTS);
    rig.fastPath.signOfLife();
    await body(rig);
  } finally {
    await rig.close();
  }
}

/** Sends to the endpoints of both families, and waits until everything is there. */
async function sendsAll(rig: EgressRig, way: string): Promise<void> {
  for (const family of [IPV4, IPV6]) {
    const up = upFlow(family);
    assert.ok(rig.fastPath.install(up));
    const counted = rig.fastPath.counters(up.key)?.packets ?? 0;
    const count = rig.received("core").length;
    for (let i = 0; i < PACKET_COUNT; i++) rig.inject("client", arriving(up, [data]));
    await until(`${PACKET_COUNT} packets over ${way}, ${family.name}`, () => {
      return rig.received("core").length >= count + PACKET_COUNT;
    });
    assert.equal(rig.received("core").length, count + PACKET_COUNT);
    assert.equal(rig.fastPath.counters(up.key)?.packets, counted + PACKET_COUNT);
  }
}

const takes = (rig: EgressRig, name: string) =>
  rig.fastPath.interfaces().find((each) => each.name === name)?.takesRedirected;

/** Moves the core side's addresses and neighbours to another device, for the time of `body`. */
async function coreOver(device: string, make: string, body: () => Promise<void>): Promise<void> {
  const { facts } = makeLinks();
  const endpoint = macText(facts.core0.mac);
  const neighbours = (on: string) =>
    [IPV4, IPV6]
      .map((family) => `ip neigh replace ${family.endpoint} lladdr ${endpoint} dev ${on}`)
      .join("; ");
  const addresses = (on: string) =>
    `ip addr add 10.9.0.2/24 dev ${on}; ip addr add fd00:9::2/64 dev ${on} nodad`;
  sh(`${make}; ip addr flush dev hfcore scope global; ip link set ${device} up; ${addresses(device)}`);
  sh(neighbours(device));
  try {
    await body();
  } finally {
    sh(`ip link del ${device}; ${addresses("hfcore")}; ${neighbours("hfcore")}`);
  }
}

describe("what XDP cannot send", { skip: obstacle ?? false }, () => {
  before(() => {
    makeLinks();
    for (const wire of ["client0", "core0"]) gro(wire, "on");
  });

  for (const [device, make] of [
    ["hfbridge", "ip link add hfbridge type bridge; ip link set hfcore master hfbridge"],
    ["hfmacvlan", "ip link add hfmacvlan link hfcore type macvlan mode bridge"],
  ] as const)
    test(`native XDP in, a ${device.slice(2)} out: TC sends, and nothing is lost`, async () => {
      await coreOver(device, make, async () => {
        await withRig({ interfaces: ["hfclient", device] }, async (rig) => {
          assert.deepEqual([takes(rig, "hfclient"), takes(rig, device)], [true, false]);
          const deferred = total(rig.fastPath, "defer.packets");
          await sendsAll(rig, device);
          assert.equal(total(rig.fastPath, "defer.packets"), deferred + 2 * PACKET_COUNT);
        });
      });
    });

  test("a veth takes redirected frames while its other end receives by NAPI, and the fast path follows", async () => {
    gro("core0", "off");
    await withRig({}, async (rig) => {
      assert.equal(takes(rig, "hfcore"), false);
      await sendsAll(rig, "TC");
      gro("core0", "on");
      await until("XDP may send", () => takes(rig, "hfcore") === true);
      const deferred = total(rig.fastPath, "defer.packets");
      await sendsAll(rig, "XDP");
      assert.equal(total(rig.fastPath, "defer.packets"), deferred);
      gro("core0", "off");
      await until("XDP may not send", () => takes(rig, "hfcore") === false);
      await sendsAll(rig, "TC again");
      assert.ok(total(rig.fastPath, "defer.packets") > deferred);
      gro("core0", "on");
    });
  });

  test("answers for a VIP leave by TC where XDP cannot send them back", async () => {
    gro("client0", "off");
    await withRig({}, async (rig) => {
      assert.equal(takes(rig, "hfclient"), false);
      const { link } = rig;
      assert.ok(link);
      const asked = Buffer.alloc(42);
      asked.fill(0xff, 0, 6);
      asked.set(link.mac("client", "test"), 6);
      asked.write("08060001080006040001", 12, "hex");
      asked.set(link.mac("client", "test"), 22);
      asked.set([10, 1, 0, 10], 28);
      asked.set([203, 0, 113, 1], 38);
      link.injectFrame("client", asked);
      await until("the ARP reply", () =>
        link.receivedFrames("client").some((frame) => frame[13] === 6 && frame[21] === 2),
      );
      gro("client0", "on");
    });
  });

  test("a dead daemon's newcomers reach a successor behind a bridge", async () => {
    await coreOver(
      "hfbridge",
      "ip link add hfbridge type bridge; ip link set hfcore master hfbridge",
      async () => {
        await withRig({ interfaces: ["hfclient", "hfbridge"], deadAfterMs: 200 }, async (rig) => {
          const { facts } = makeLinks();
          const index = rig.fastPath.interfaces().find(({ name }) => name === "hfbridge")?.index ?? 0;
          const successor = { interfaceIndex: index, mac: facts.core0.mac };
          rig.fastPath.setLocal(LOCAL.map((local) => ({ ...local, successor })));
          const init = arriving(upFlow(IPV4), [encodeInit({ initiateTag: 1 })], { tag: 0 });
          await until("an INIT at the successor", () => {
            rig.inject("client", init);
            return (rig.link?.receivedFrames("core") ?? []).some(
              (frame) => frame[12] === 8 && frame[13] === 0 && frame[33] === 1 && frame[22] === 63,
            );
          });
        });
      },
    );
  });
});

describe("other programs on the hook", { skip: obstacle ?? false }, () => {
  test("one that passes everything on hides nothing, and one that comes in front is told of", async (t) => {
    makeLinks();
    const { facts } = makeLinks();
    const [first, second] = [passingProgram(), passingProgram()];
    const link = attach(first, facts.hfclient.index, 0);
    if (link < 0) {
      // Before Linux 6.6 there is no such hook; the compliance suite has the other one.
      t.diagnostic(`no tcx here: ${link}`);
      libc().close(first);
      return;
    }
    await withRig({ mode: "tc", pinDirectory }, async (rig) => {
      const before = () =>
        rig.fastPath.interfaces().find(({ name }) => name === "hfclient")?.programsBefore ?? 0;
      assert.equal(before(), 0);
      await sendsAll(rig, "a hook that a program has that answers TC_ACT_OK");
      const intruder = attach(second, facts.hfclient.index, BPF_F_BEFORE);
      assert.ok(intruder >= 0);
      await until("the program in front is seen", () => before() === 1);
      // The next start goes in front again.
      await rig.fastPath.detach();
      const next = await openBpfFastPath({ mode: "tc", interfaces: ["hfclient", "hfcore"], pinDirectory });
      try {
        next.setLocal(LOCAL);
        next.signOfLife();
        const up = upFlow(IPV4);
        assert.ok(next.install(up));
        const count = rig.received("core").length;
        rig.inject("client", arriving(up, [data]));
        await until("a packet", () => rig.received("core").length === count + 1);
        assert.equal(next.interfaces().find(({ name }) => name === "hfclient")?.programsBefore, undefined);
      } finally {
        await next.uninstall();
        for (const fd of [intruder, link, first, second]) libc().close(fd);
      }
    });
  });
});

const BPF_PROG_TYPE_SCHED_CLS = 3;
const BPF_TCX_INGRESS = 46;
const BPF_F_BEFORE = 8;

/** r0 = TC_ACT_OK; exit. */
function passingProgram(): number {
  const load = koffi
    .load("libbpf.so.1")
    .func(
      "int bpf_prog_load(int type, const char *name, const char *license, void *instructions, size_t count, void *opts)",
    );
  const code = Buffer.from("b7000000000000009500000000000000", "hex");
  const fd = load(BPF_PROG_TYPE_SCHED_CLS, "passes", "GPL", code, 2, null) as number;
  assert.ok(fd >= 0, `loading failed with ${fd}`);
  return fd;
}

function attach(program: number, interfaceIndex: number, flags: number): number {
  const settings = options(64);
  settings.writeUInt32LE(flags, 8);
  return libbpf().linkCreate(program, interfaceIndex, BPF_TCX_INGRESS, settings);
}
