// Real stacks: UDP without sessions. Clients get their answers through the death of the member that forwards
// and of its daemon, though nobody was told of them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "@holdfast/testkit";
import { PlainScene } from "./scene.ts";

const UDP = 40;

test("stateless UDP: answers come through a take-over and a dead daemon, and there are no sessions", async (t) => {
  const options = {
    ...{ members: 2, endpoints: 2, tcpCount: 2, udpCount: UDP },
    udp: { selection: "hash", stateless: true },
  };
  await PlainScene.play(options, async (scene) => {
    const { client } = scene;
    const flows = async (what: string) => {
      const report = await client.flowing(4, 30_000, 2 * UDP);
      t.diagnostic(`${what}: ${JSON.stringify({ ...report, ports: undefined })}`);
      return report;
    };
    await flows("before");
    const sessions = async () => {
      const member = await scene.owner();
      const page = await member.get<{ items: unknown[] }>("/v1/sessions?protocol=udp");
      return page.items.length;
    };
    assert.equal(await sessions(), 0);
    // The connections beside them are told to the others when they are a second old.
    await scene.shared(2);
    const owner = await scene.owner();
    await owner.killNode();
    await until("another owner", async () => (await scene.owner()).name !== owner.name);
    await flows("node dead");
    // Who asked while nobody forwarded asks again half a second later, and then needs the daemon once.
    const all = { tcp: 2, udp: UDP };
    await client.allAnswered(all);
    const next = await scene.owner();
    await next.killDaemon();
    // Once each was answered since, what died with the daemon has been counted, too.
    const before = await client.allAnswered(all);
    assert.equal((await flows("daemon still dead")).lost, before.lost, "the kernel forwards");
    await next.start();
    await flows("daemon back");
    assert.equal(await sessions(), 0);
  });
});
