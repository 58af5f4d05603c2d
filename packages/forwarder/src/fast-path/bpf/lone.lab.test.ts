// A daemon that shows no sign of life, where no other member is to take its VIPs over.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { encodeInit } from "@holdfast/sctp";
import { echoRequest } from "../compliance/icmp.ts";
import { labHarness, labObstacle } from "../compliance/lab.ts";
import { hex, type Rig, recordPunts, total, until } from "../compliance/rig.ts";
import { SharedPlanes } from "../compliance/shared-planes.ts";
import { arriving, ENDPOINTS, IPV4, IPV6, LOCAL, upFlow } from "../compliance/world.ts";
import { openBpfFastPath } from "./bpf-fast-path.ts";

const obstacle = labObstacle();
const { load } = new SharedPlanes();
const DEAD_AFTER_MS = 100;

/** The daemon has been silent for longer than a living one. */
async function withDead(body: (rig: Rig) => Promise<void>, mode: "tc" | "xdp" = "tc"): Promise<void> {
  const options = { flowCountMax: 4_096, ringBytes: 1 << 18, deadAfterMs: DEAD_AFTER_MS, load };
  const rig = await labHarness((interfaces) => openBpfFastPath({ mode, interfaces, ...options })).open({});
  const { fastPath } = rig;
  try {
    fastPath.setLocal(LOCAL);
    fastPath.setEndpoints(ENDPOINTS);
    const startedAt = fastPath.nowMs();
    await until("silence of the daemon", () => fastPath.nowMs() - startedAt > 2 * DEAD_AFTER_MS);
    await body(rig);
  } finally {
    await rig.close();
  }
}

describe("a dead daemon without a successor", { skip: obstacle ?? false }, () => {
  test("what nobody else could take waits for a daemon that is starved", async () => {
    await withDead(async (rig) => {
      const punts = recordPunts(rig.fastPath);
      for (const family of [IPV4, IPV6]) {
        rig.inject(
          "client",
          arriving(upFlow(family), [encodeInit({ initiateTag: family === IPV4 ? 4 : 6 })], { tag: 0 }),
        );
      }
      rig.fastPath.start();
      await until("both INITs", () => punts.length === 2);
      assert.deepEqual(
        punts.map(({ reason }) => reason),
        ["init", "init"],
      );
      assert.equal(total(rig.fastPath, "drop.no-successor"), 0);
    });
  });

  for (const mode of ["tc", "xdp"] as const)
    test(`what its successor sent here is not sent back, and waits (${mode})`, async () => {
      await withDead(async (rig) => {
        const { fastPath, link } = rig;
        assert.ok(link);
        // Whoever sends on the client's side is the successor.
        const mac = link.mac("client", "test");
        const successor = { interfaceIndex: rig.interfaces.client, mac };
        fastPath.setLocal(LOCAL.map((local) => ({ ...local, successor })));
        const punts = recordPunts(fastPath);
        const back = () =>
          link.receivedFrames("client").filter((frame) => hex(frame.subarray(0, 6)) === hex(mac)).length;
        for (const [index, family] of [IPV4, IPV6].entries()) {
          const init = arriving(upFlow(family), [encodeInit({ initiateTag: 4 + index })], { tag: 0 });
          rig.inject("client", init);
          await until("one that stays", () => total(fastPath, "divert.returned") === index + 1);
          assert.equal(total(fastPath, "divert.packets"), index);
          // What comes from anybody else goes there.
          rig.inject("core", init);
          await until("one that is diverted", () => back() === index + 1);
        }
        fastPath.start();
        await until("both INITs", () => punts.length === 2);
        assert.equal(total(fastPath, "divert.packets"), 2);
      }, mode);
    });

  test("a VIP that nobody else can own is answered for while the daemon is dead, too", async () => {
    await withDead(async (rig) => {
      for (const [index, { client, vip }] of [IPV4, IPV6].entries()) {
        rig.inject("client", echoRequest(client, vip));
        await until("no answer", () => total(rig.fastPath, "drop.not-owned") === 2 * index + 1);
        rig.fastPath.setLocal(LOCAL.map((local) => ({ ...local, lone: true })));
        const answered = total(rig.fastPath, "answer.echo");
        rig.inject("client", echoRequest(client, vip));
        await until("an answer", () => total(rig.fastPath, "answer.echo") === answered + 1);
        rig.fastPath.setLocal(LOCAL.map((local) => ({ ...local, lone: true, owned: false })));
        rig.inject("client", echoRequest(client, vip));
        await until("another's", () => total(rig.fastPath, "drop.not-owned") === 2 * index + 2);
        rig.fastPath.setLocal(LOCAL);
      }
    });
  });
});
