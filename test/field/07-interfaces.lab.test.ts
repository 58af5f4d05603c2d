// Interfaces and addresses that come and go: a pattern's are attached as they appear and detached as they go,
// what is not Ethernet is left out, and own addresses follow the kernel. In a namespace of this process's
// own.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { before, describe, test } from "node:test";
import type { FastPath } from "@holdfast/forwarder/testing";
import {
  arriving,
  ENDPOINTS,
  IPV4,
  interfaceFacts,
  LOCAL,
  labObstacle,
  macText,
  makeLinks,
  openBpfFastPath,
  openFastPath,
  openUserspaceFastPath,
  tcxProgramIds,
  until,
  upFlow,
  Wire,
} from "@holdfast/forwarder/testing/fast-path";
import { type Clock, silentLogger } from "@holdfast/model";
import { liveTopology, loadConfiguration, NetworkWatch } from "@holdfast/node/testing";
import { encodeData } from "@holdfast/sctp";

const obstacle = labObstacle();
const data = encodeData({ tsn: 7, data: new Uint8Array(40).fill(0x61) });
const pinDirectory = `/sys/fs/bpf/holdfast-interfaces-${process.pid}`;
const ip = (...lines: string[]) => execFileSync("ip", ["-batch", "-"], { input: `${lines.join("\n")}\n` });
const names = (fastPath: FastPath) =>
  fastPath
    .interfaces()
    .map(({ name }) => name)
    .sort();

function prepare(fastPath: FastPath): void {
  fastPath.setLocal(LOCAL);
  fastPath.setEndpoints(ENDPOINTS);
  fastPath.signOfLife();
  assert.ok(fastPath.install(upFlow(IPV4)));
}

/** A packet that arrives at an interface comes out at the core. */
async function forwards(from: string, to: string): Promise<void> {
  const { facts } = makeLinks();
  const client = new Wire(interfaceFacts(from), interfaceFacts(to));
  const core = new Wire(facts.core0, facts.hfcore);
  try {
    await until(`a packet from ${to}`, () => {
      client.inject(arriving(upFlow(IPV4), [data]));
      return core.received().length > 0;
    });
  } finally {
    client.close();
    core.close();
  }
}

describe("interfaces that come and go", { skip: obstacle ?? false }, () => {
  before(() => {
    makeLinks();
    execFileSync("ip", ["tuntap", "add", "hftun", "mode", "tun"]);
  });

  const interfaces = ["hf*"];
  const modes: Readonly<Record<string, () => Promise<FastPath>>> = {
    TC: () =>
      openBpfFastPath({ mode: "tc", interfaces, pinDirectory, flowCountMax: 4096, ringBytes: 1 << 18 }),
    XDP: () =>
      openBpfFastPath({ mode: "xdp", interfaces, pinDirectory, flowCountMax: 4096, ringBytes: 1 << 18 }),
    userspace: () => openUserspaceFastPath({ interfaces, guardTable: `hf-interfaces-${process.pid}` }),
  };
  for (const [mode, open] of Object.entries(modes))
    test(`${mode}: a pattern's interfaces are served as they come, and left as they go`, async () => {
      const fastPath = await open();
      try {
        prepare(fastPath);
        assert.deepEqual(names(fastPath), ["hfclient", "hfcore"], "what is not Ethernet is left out");
        await forwards("client0", "hfclient");
        // Twice: under another index and MAC the second time.
        for (const _ of [1, 2]) {
          ip("link add new0 type veth peer name hfnew", "link set new0 up", "link set hfnew up");
          await until("it is attached", () => names(fastPath).includes("hfnew"));
          await forwards("new0", "hfnew");
          const { index } = interfaceFacts("hfnew");
          ip("link del new0");
          await until("it is detached", () => !names(fastPath).includes("hfnew"));
          if (mode !== "userspace")
            assert.deepEqual(
              readdirSync(`${pinDirectory}/links`).filter((name) => name.startsWith(`${index}_`)),
              [],
            );
          await forwards("client0", "hfclient");
        }
        // A name that fits no more, and one that fits now.
        ip("link add other0 type veth peer name aside", "link set other0 up", "link set aside up");
        assert.ok(!names(fastPath).includes("aside"));
        ip("link set aside down", "link set aside name hfaside", "link set hfaside up");
        await until("it is attached under its new name", () => names(fastPath).includes("hfaside"));
        ip("link set hfaside down", "link set hfaside name aside");
        await until("it is detached", () => names(fastPath).length === 2);
        if (mode !== "userspace") assert.deepEqual(tcxProgramIds(interfaceFacts("aside").index), []);
        ip("link del other0");
      } finally {
        await fastPath.uninstall();
      }
      assert.equal(existsSync(pinDirectory), false);
    });

  test("without names every interface is served that carries Ethernet and is no member of a bridge", async () => {
    const fastPath = await openFastPath({
      mode: "tc",
      interfaces: [],
      flowCountMax: 4096,
      ringBytes: 1 << 18,
    });
    try {
      ip(
        "link add hfbr type bridge",
        "link set hfbr up",
        "link add p0 type veth peer name p1",
        "link set p0 up",
      );
      await until("the bridge and the veth are attached", () =>
        ["hfbr", "p0"].every((name) => names(fastPath).includes(name)),
      );
      ip("link set p0 master hfbr");
      await until("a bridge's member is not ours any more", () => !names(fastPath).includes("p0"));
      ip("link set p0 nomaster");
      await until("and is again", () => names(fastPath).includes("p0"));
      assert.ok(!names(fastPath).includes("hftun"));
    } finally {
      await fastPath.uninstall();
      ip("link del hfbr", "link del p0");
    }
  });

  test("a tunnel alone is refused with its code, one among others is left out", async () => {
    for (const mode of ["tc", "userspace"] as const) {
      const guardTable = `hf-interfaces-${process.pid}`;
      await assert.rejects(openFastPath({ mode, interfaces: ["hftun"], guardTable }), {
        code: "INTERFACE_NOT_ETHERNET",
      });
      const fastPath = await openFastPath({ mode, interfaces: ["hftun", "hfclient"], guardTable });
      assert.deepEqual(names(fastPath), ["hfclient"]);
      await fastPath.uninstall();
    }
  });

  test("own addresses and the interfaces of a pattern follow the kernel", async () => {
    const clock = {
      nowMs: () => performance.now(),
      after: (ms: number, call: () => void) => setTimeout(call, ms),
    };
    const network = new NetworkWatch(clock as unknown as Clock, silentLogger);
    try {
      const { configuration } = loadConfiguration(undefined);
      const topology = liveTopology(
        {
          ...configuration,
          interfaces: [
            { name: "hfcore", role: "core" },
            { name: "hf*", role: "path", network: "paths" },
          ],
        },
        network,
      );
      const working = () => topology.interfaces.map(({ name, network: of }) => `${name} ${of}`).sort();
      const own = () => network.hostAddresses().some(({ address }) => address === "172.17.0.1");
      assert.deepEqual(working(), ["hfclient paths", "hfcore hfcore"]);
      ip("link add hflate type bridge", "link set hflate up", "addr add 172.17.0.1/16 dev hflate");
      await until("the bridge's address is our own", own);
      assert.deepEqual(working(), ["hfclient paths", "hfcore hfcore", "hflate paths"]);
      ip("addr del 172.17.0.1/16 dev hflate");
      await until("it is not any more", () => !own());
      ip("link del hflate");
      await until("the bridge has gone", () => working().length === 2);
    } finally {
      network.close();
    }
  });

  test("MACs are followed, too", async () => {
    const fastPath = await openBpfFastPath({
      mode: "tc",
      interfaces,
      flowCountMax: 4096,
      ringBytes: 1 << 18,
    });
    try {
      prepare(fastPath);
      const before = macText(interfaceFacts("hfclient").mac);
      ip("link set hfclient address 02:00:00:00:0a:0b");
      await forwards("client0", "hfclient");
      ip(`link set hfclient address ${before}`);
    } finally {
      await fastPath.uninstall();
    }
  });
});
