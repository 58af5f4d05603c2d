// Which private addresses the network reaches, as the kernel says: by a route that somebody made for them,
// out of an interface that is served. Root, network namespaces.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, test } from "node:test";
import { type Address, silentLogger, systemClock } from "@holdfast/model";
import { NetworkWatch } from "@holdfast/node/testing";
import { inNamespace } from "@holdfast/testkit";

const NAMESPACE = `hf-routes-${process.pid}`;
const SERVED = ["path0", "path1"];
const LIMIT_MS = 20_000;

const ip = (...words: string[]) => execFileSync("ip", words);
const inside = (text: string) => ip("-n", NAMESPACE, ...text.split(" "));

ip("netns", "add", NAMESPACE);
after(() => ip("netns", "delete", NAMESPACE));
for (const [name, address, address6] of [
  ["path0", "10.1.0.2/24", "fd00:1::2/64"],
  ["path1", "10.2.0.2/24", "fd00:2::2/64"],
  ["docker0", "172.17.0.2/16", "fd00:17::2/64"],
] as const) {
  inside(`link add ${name} type veth peer name far-${name}`);
  inside(`addr add ${address} dev ${name}`);
  inside(`addr add ${address6} dev ${name} nodad`);
  inside(`link set ${name} up`);
  inside(`link set far-${name} up`);
}

test("a default route is no route to a private address, nor is one out of an interface that is not served", async () => {
  const watch = inNamespace(NAMESPACE, () => new NetworkWatch(systemClock, silentLogger));
  try {
    const routable = (address: Address) => watch.isRoutable(address, SERVED);
    const change = async (command: string, address: Address, expected: boolean) => {
      inside(command);
      const startedMs = systemClock.nowMs();
      while (routable(address) !== expected) {
        assert.ok(systemClock.nowMs() - startedMs < LIMIT_MS, `${command}: ${address} is not ${expected}`);
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    const all: readonly Address[] = [
      "10.1.0.9",
      "10.2.0.9",
      "172.17.0.9",
      "10.7.0.9",
      "fd00:1::9",
      "fd00:7::9",
    ];
    const onLink = [true, true, false, false, true, false];
    assert.deepEqual(all.map(routable), onLink);
    // The event that tells of the last command says that the earlier ones are in force, too.
    inside("route add default via 10.1.0.1");
    inside("route add 0.0.0.0/1 via 10.1.0.1");
    inside("route add default via fd00:1::1");
    await change("route add 10.77.0.0/16 via 10.1.0.1", "10.77.0.1", true);
    assert.deepEqual(all.map(routable), onLink);
    await change("route add 10.7.0.0/16 nexthop via 10.1.0.1 nexthop via 10.2.0.1", "10.7.0.9", true);
    await change("route add fd00:7::/64 via fd00:2::1", "fd00:7::9", true);
    await change("route add 172.17.0.9/32 via 10.2.0.1", "172.17.0.9", true);
    await change("route add blackhole 10.7.0.9/32", "10.7.0.9", false);
    await change("route del 172.17.0.9/32 via 10.2.0.1", "172.17.0.9", false);
  } finally {
    watch.close();
  }
});
