import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { type ClusterOptions, VIPS_V4, VIPS_V6 } from "@holdfast/testkit";
import { Scene } from "./scene.ts";
import { bringBack, goneFrom } from "./trouble.ts";

const MIXED = [VIPS_V4[0], VIPS_V6[1], VIPS_V4[2], VIPS_V6[3]];

const CASES: readonly (ClusterOptions & { readonly name: string })[] = [
  { name: "IPv6", vips: VIPS_V6 },
  { name: "both families in one set of VIPs", vips: MIXED },
  { name: "the userspace fast path, both families", fastPath: "userspace", vips: MIXED },
  { name: "generic XDP", fastPath: "xdp-generic" },
  { name: "native XDP, both families", fastPath: "xdp", vips: MIXED },
];

for (const { name, ...options } of CASES) {
  test(`${name}: all paths, a death, a return`, async () => {
    await Scene.play({ ...options, members: 3, clients: [3, 1, 2] }, async (scene) => {
      await scene.confirmed();
      await scene.flowing(20);
      await shownOnEveryVip(scene);
      const owner = await scene.ownerOf();
      await owner.killNode();
      await goneFrom(scene, owner, scene.cluster.vips[0] as Address);
      await scene.flowing(20);
      owner.host.plug();
      await bringBack(scene, owner);
      await scene.flowing(20);
      await scene.judge();
    });
  });
}

interface SessionDetail {
  readonly counters: readonly { vip: string; up: { packets: number }; down: { packets: number } }[];
}

/** Any member shows what passes each VIP of each session. */
async function shownOnEveryVip({ cluster }: Scene): Promise<void> {
  for (const member of cluster.members) {
    const { items } = await member.get<{ items: { id: string }[] }>("/v1/sessions?limit=100");
    assert.ok(items.length > 0);
    for (const { id } of items) {
      const { counters } = await member.get<SessionDetail>(`/v1/sessions/${id}`);
      for (const vip of cluster.vips) {
        const rows = counters.filter((row) => row.vip === vip);
        // The first packets of a path pass the slow path, which counts for no session.
        assert.ok(
          rows.some(({ up, down }) => up.packets + down.packets > 0),
          `${vip} of ${id} at ${member.name}: ${JSON.stringify(rows)}`,
        );
      }
    }
  }
}
