// Services that let associations begin from some networks alone.
import assert from "node:assert/strict";
import { type Address, type Prefix, parsePrefix } from "@holdfast/model";
import { encodeCookieEcho, encodeData, encodeInit } from "@holdfast/sctp";
import type { WithRig } from "../compliance.ts";
import type { ServedPort } from "../port.ts";
import { type Rig, recordPunts, total, until } from "./rig.ts";
import { arriving, ENDPOINT_PORT, FAMILIES, SERVICE, upFlow, type WorldFamily } from "./world.ts";

const init = [encodeInit({ initiateTag: 1 })];

const prefixes = (...texts: string[]) => texts.map((text) => parsePrefix(text) as Prefix);

/** An INIT of that source: punted, or dropped with the reason. */
async function expectInit(
  rig: Rig,
  family: WorldFamily,
  from: { readonly source: Address; readonly sourcePort?: number },
  fate: "punted" | "dropped",
): Promise<void> {
  const { fastPath } = rig;
  const flow = upFlow(family);
  const before = [total(fastPath, "punt.init"), total(fastPath, "drop.source-not-allowed")] as const;
  const side = from.source === family.endpoint ? "core" : "client";
  rig.inject(side, arriving({ ...flow, key: { ...flow.key, ...from } }, init, { tag: 0 }));
  const after = () => [total(fastPath, "punt.init"), total(fastPath, "drop.source-not-allowed")] as const;
  const added = fate === "punted" ? [1, 0] : [0, 1];
  await until(`${from.source} ${fate}`, () => after().some((count, i) => count > (before[i] as number)));
  assert.deepEqual(
    after().map((count, i) => count - (before[i] as number)),
    added,
    `${from.source} ${fate}`,
  );
}

export function describeAllowedSources(withRig: WithRig): void {
  for (const family of FAMILIES) {
    const [bits, networkBits] = family.name === "IPv4" ? [32, 24] : [128, 64];
    const serve = (rig: Rig, allowedSources?: readonly Prefix[]) => {
      const port: ServedPort = { ...SERVICE, ...(allowedSources !== undefined && { allowedSources }) };
      rig.fastPath.setLocal([{ address: family.vip, owned: true, ports: [port] }]);
    };

    withRig(`${family.name}: an association begins only where its service allows it`, async (rig) => {
      rig.fastPath.start();
      const { client, client2, endpoint } = family;
      serve(rig, prefixes(`${client}/${bits}`));
      await expectInit(rig, family, { source: client }, "punted");
      await expectInit(rig, family, { source: client2 }, "dropped");
      // Another list in its place, at once.
      serve(rig, prefixes(`${client2}/${bits}`, `${endpoint}/${networkBits}`));
      await expectInit(rig, family, { source: client }, "dropped");
      await expectInit(rig, family, { source: client2 }, "punted");
      serve(rig, prefixes(`${client}/${networkBits}`));
      await expectInit(rig, family, { source: client2 }, "punted");
      // Everybody of the family, nobody, everybody.
      serve(rig, prefixes(family.name === "IPv4" ? "0.0.0.0/0" : "::/0"));
      await expectInit(rig, family, { source: client }, "punted");
      serve(rig, []);
      await expectInit(rig, family, { source: client }, "dropped");
      // What an endpoint begins from its own port is the slow path's business.
      await expectInit(rig, family, { source: endpoint, sourcePort: ENDPOINT_PORT }, "punted");
      await expectInit(rig, family, { source: endpoint }, "dropped");
      serve(rig);
      await expectInit(rig, family, { source: client }, "punted");
    });

    withRig(`${family.name}: what has begun goes on, wherever it comes from`, async (rig) => {
      rig.fastPath.start();
      const punts = recordPunts(rig.fastPath);
      const flow = upFlow(family);
      assert.ok(rig.fastPath.install(flow));
      serve(rig, []);
      rig.inject("client", arriving(flow, [encodeData({ tsn: 1, data: new Uint8Array(10) })]));
      await until("the packet", () => rig.received("core").length === 1);
      // Of an association that this member has not got, perhaps: the slow path knows.
      const other = { ...flow, key: { ...flow.key, sourcePort: 1 } };
      rig.inject("client", arriving(other, [encodeCookieEcho(new Uint8Array(8))]));
      await until("the punt", () => punts.length === 1);
      assert.equal(total(rig.fastPath, "drop.source-not-allowed"), 0);
    });
  }

  withRig("a list of one family says nothing of the other's VIP", async (rig) => {
    rig.fastPath.start();
    const [four, six] = FAMILIES;
    rig.fastPath.setLocal([
      { address: four.vip, owned: true, ports: [{ ...SERVICE, allowedSources: prefixes("0.0.0.0/0") }] },
      { address: six.vip, owned: true, ports: [{ ...SERVICE, allowedSources: [] }] },
    ]);
    await expectInit(rig, four, { source: four.client }, "punted");
    await expectInit(rig, six, { source: six.client }, "dropped");
  });
}
