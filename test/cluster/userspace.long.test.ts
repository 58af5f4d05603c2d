import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { Scene } from "./scene.ts";
import { bringBack, goneFrom } from "./trouble.ts";

test("the userspace fast path: a node dies, a daemon dies and its data plane with it, both return", async () => {
  await Scene.play({ fastPath: "userspace", members: 3, clients: [3, 2], rate: 40 }, async (scene) => {
    const { cluster } = scene;
    const primary = cluster.vips[0] as Address;
    await scene.confirmed();
    await scene.flowing(10);
    const first = await scene.ownerOf(primary);
    await first.killNode();
    await goneFrom(scene, first, primary);
    await scene.flowing(10);
    const second = await scene.ownerOf(primary);
    await second.killDaemon();
    await goneFrom(scene, second, primary);
    await scene.flowing(10);
    first.host.plug();
    await Promise.all([bringBack(scene, first), bringBack(scene, second)]);
    await scene.flowing(10);
    await scene.judge();
  });
});
