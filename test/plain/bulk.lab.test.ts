// Real stacks: what a kernel leaves to devices to cut crosses the userspace fast path whole, both ways,
// though that meets it before anybody has cut it.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Address } from "@holdfast/model";
import { PlainScene, PORT, VIP, VIP6 } from "./scene.ts";

const VIPS: readonly Address[] = [VIP6, VIP];
const SIZE = 6_000_000;
const LIMIT_MS = 90_000;
const script = fileURLToPath(new URL("./bulk-client.ts", import.meta.url));

test("super-packets of TCP and UDP through the userspace fast path", async (t) => {
  const options = {
    ...{ members: 1, endpoints: 1, tcpCount: 2, udpCount: 2, vips: VIPS },
    fastPath: "userspace" as const,
  };
  await PlainScene.play(options, async ({ cluster }) => {
    for (const vip of VIPS)
      await t.test(vip, async () => {
        const child = cluster.clients[0]?.spawn(process.execPath, [script, vip, String(PORT), String(SIZE)]);
        assert.ok(child?.stdout);
        const errors: string[] = [];
        child.stderr?.on("data", (text) => errors.push(String(text)));
        const lines = createInterface({ input: child.stdout });
        try {
          const line = once(lines, "line", { signal: AbortSignal.timeout(LIMIT_MS) });
          const [text] = await line.catch((error) => assert.fail(`${error} ${errors.join("")}`));
          const { bytes, sizes } = JSON.parse(text) as { bytes: number; sizes: number[] };
          assert.equal(bytes, SIZE);
          assert.deepEqual(sizes.toSorted(), [100, ...Array.from({ length: 12 }, () => 1_200)]);
        } finally {
          child.kill("SIGKILL");
        }
      });
  });
});
