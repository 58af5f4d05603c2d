// Installing, replacing, removing, counting and sweeping flows; sending.
import assert from "node:assert/strict";
import { encodeData } from "@holdfast/sctp";
import type { WithRig } from "../compliance.ts";
import type { FastPath, Flow, FlowCounters } from "../port.ts";
import { hex, total, until } from "./rig.ts";
import { arriving, downFlow, FAMILIES, IPV4, IPV6, leaving, SERVICE, upFlow } from "./world.ts";

/** TCP. */
const OTHER_PROTOCOL = 6;
const chunks = [encodeData({ tsn: 1, data: new Uint8Array(10) })];

function portFlow(sourcePort: number, session = sourcePort): Flow {
  const flow = upFlow(IPV4);
  return { ...flow, key: { ...flow.key, sourcePort }, session };
}

/** Visits everything; returns the flows and how many calls it took. */
function sweepAll(
  fastPath: FastPath,
  visit: (flow: Flow, counters: FlowCounters) => "keep" | "remove" = () => "keep",
): { flows: Flow[]; visitedMax: number } {
  const flows: Flow[] = [];
  let visitedMax = 0;
  let cursor: unknown;
  do {
    const before = flows.length;
    cursor = fastPath.sweep(cursor, (flow, counters) => {
      flows.push(flow);
      return visit(flow, counters);
    });
    visitedMax = Math.max(visitedMax, flows.length - before);
  } while (cursor !== undefined);
  return { flows, visitedMax };
}

export function describeTables(withRig: WithRig): void {
  withRig(
    "sweep shows every flow once as it was installed, removes what it is told to, in bounded steps",
    ({ fastPath }) => {
      const ports = Array.from({ length: 2_500 }, (_, i) => 10_000 + i);
      for (const port of ports) assert.ok(fastPath.install(portFlow(port)));
      const special = [
        upFlow(IPV6, { learn: true, pending: true, session: 0xffff_fffe }),
        downFlow(IPV6, { heartbeatOnly: true, replyDestination: IPV6.client2, tag: 0xffff_ffff }),
        downFlow(IPV4, { replyDestination: IPV4.client2 }),
      ];
      for (const flow of special) assert.ok(fastPath.install(flow));
      const { flows, visitedMax } = sweepAll(fastPath, (flow) =>
        flow.key.sourcePort % 2 === 1 ? "remove" : "keep",
      );
      assert.ok(visitedMax <= 1_024, `${visitedMax} in one call`);
      assert.equal(new Set(flows.map((flow) => JSON.stringify(flow.key))).size, 2_503);
      assert.equal(flows.length, 2_503);
      for (const flow of special) {
        const found = flows.find(
          (each) => each.key.source === flow.key.source && each.session === flow.session,
        );
        assert.deepEqual(found, flow);
      }
      assert.equal(sweepAll(fastPath).flows.length, 1_253);
      assert.equal(fastPath.counters(portFlow(10_001).key), undefined);
      assert.ok(fastPath.counters(portFlow(10_002).key));
    },
  );

  withRig(
    "counters count forwarded packets, survive a replacement by the same session, and go with the flow",
    async (rig) => {
      const { fastPath } = rig;
      const flow = upFlow(IPV4);
      assert.ok(fastPath.install(flow));
      const packet = arriving(flow, chunks);
      rig.inject("client", packet);
      rig.inject("client", packet);
      rig.inject("client", arriving(flow, chunks, { tag: 1 }));
      await until(
        "all three",
        () => total(fastPath, "drop.wrong-tag") === 1 && rig.received("core").length === 2,
      );
      const counters = fastPath.counters(flow.key);
      assert.deepEqual([counters?.packets, counters?.bytes], [2, 2 * packet.length]);
      assert.ok((counters?.lastSeenMs ?? Infinity) <= fastPath.nowMs());
      assert.ok(fastPath.install({ ...flow, pending: true }));
      assert.equal(fastPath.counters(flow.key)?.packets, 2);
      fastPath.remove(flow.key);
      fastPath.remove(flow.key);
      assert.equal(fastPath.counters(flow.key), undefined);
    },
  );

  withRig("replacing a flow changes what it does", async (rig) => {
    const flow = upFlow(IPV4);
    assert.ok(rig.fastPath.install(flow));
    const moved = upFlow(IPV4, { newSourcePort: 40_002, tag: 5, session: 9 });
    assert.ok(rig.fastPath.install(moved));
    rig.inject("client", arriving(flow, chunks));
    rig.inject("client", arriving(moved, chunks));
    await until("one of the two", () => rig.received("core").length === 1);
    assert.equal(hex(rig.received("core")[0]), hex(leaving(moved, chunks)));
    assert.equal(total(rig.fastPath, "drop.wrong-tag"), 1);
  });

  withRig(
    "a full table refuses new flows, counts it, and leaves the others alone",
    async (rig) => {
      const { fastPath } = rig;
      let installed = 0;
      while (installed < 200 && fastPath.install(portFlow(1 + installed))) installed += 1;
      assert.ok(installed >= 64 && installed < 200, `${installed} flows fitted`);
      assert.equal(fastPath.install(portFlow(60_000)), false);
      assert.ok(total(fastPath, "flow-table-full") >= 2);
      const old = portFlow(1);
      assert.ok(fastPath.install({ ...old, pending: true }));
      rig.inject("client", arriving(old, chunks));
      await until("an old flow's packet", () => rig.received("core").length === 1);
      fastPath.remove(old.key);
      assert.ok(fastPath.install(portFlow(60_000)));
    },
    { flowCountMax: 64 },
  );

  describeProtocols(withRig);

  withRig("a packet for an address that is not local any more is none of its business", async (rig) => {
    const flow = upFlow(IPV4);
    assert.ok(rig.fastPath.install(flow));
    rig.fastPath.setLocal([{ address: IPV6.vip, owned: true, ports: [SERVICE] }]);
    const flow6 = upFlow(IPV6);
    assert.ok(rig.fastPath.install(flow6));
    rig.inject("client", arriving(flow, chunks));
    rig.inject("client", arriving(flow6, chunks));
    await until("the sentinel", () => rig.received("core").length > 0);
    assert.equal(hex(rig.received("core")[0]), hex(leaving(flow6, chunks)));
  });

  for (const family of FAMILIES) {
    withRig(`${family.name}: send routes a packet whose source is a VIP, byte for byte`, async (rig) => {
      const packet = leaving(upFlow(family), chunks);
      const answer = leaving(downFlow(family), chunks);
      assert.ok(rig.fastPath.send(packet) && rig.fastPath.send(answer));
      await until("both", () => rig.received("core").length === 1 && rig.received("client").length === 1);
      assert.equal(hex(rig.received("core")[0]), hex(packet));
      assert.equal(hex(rig.received("client")[0]), hex(answer));
    });
  }
}

function describeProtocols(withRig: WithRig): void {
  for (const family of FAMILIES) {
    withRig(
      `${family.name}: flows of two protocols with the same addresses and ports do not meet`,
      async (rig) => {
        const { fastPath } = rig;
        const flow = upFlow(family);
        const other = upFlow(family, { key: { ...flow.key, protocol: OTHER_PROTOCOL }, tag: 5, session: 9 });
        assert.ok(fastPath.install(flow) && fastPath.install(other));
        rig.inject("client", arriving(flow, chunks));
        await until("the packet", () => rig.received("core").length === 1);
        assert.equal(fastPath.counters(flow.key)?.packets, 1);
        assert.equal(fastPath.counters(other.key)?.packets, 0);
        assert.deepEqual(
          sweepAll(fastPath)
            .flows.map(({ key, session }) => [key.protocol, session])
            .sort(),
          [
            [OTHER_PROTOCOL, 9],
            [flow.key.protocol, flow.session],
          ].sort(),
        );
        fastPath.remove(flow.key);
        rig.inject("client", arriving(flow, chunks));
        await until("a miss", () => total(fastPath, "punt.miss") === 1);
        assert.equal(rig.received("core").length, 1);
      },
    );

    withRig(`${family.name}: a port that another protocol serves is not served by SCTP`, async (rig) => {
      rig.fastPath.setLocal([
        { address: family.vip, owned: true, ports: [{ ...SERVICE, protocol: OTHER_PROTOCOL }] },
      ]);
      rig.inject("client", arriving(upFlow(family), chunks));
      await until("the drop", () => total(rig.fastPath, "drop.port-not-served") === 1);
    });
  }
}
