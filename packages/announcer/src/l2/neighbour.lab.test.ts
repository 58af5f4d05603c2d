// A neighbour's cache really moves: three hosts on one bridge, in namespaces of their own.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";

const WAIT_MAX_MS = 10_000;
const VIP4 = "203.0.113.1";
const VIP6 = "2001:db8:113::1";

function run(...command: string[]): string {
  const [file, ...args] = command as [string, ...string[]];
  return execFileSync(file, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

const inside = (namespace: string, ...command: string[]) =>
  run("nsenter", `--net=/run/netns/${namespace}`, ...command);

interface Neighbour {
  readonly dst: string;
  readonly lladdr?: string;
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const limitMs = performance.now() + WAIT_MAX_MS;
  while (!condition()) {
    assert(performance.now() < limitMs, `waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test("gratuitous ARP and unsolicited advertisements move a neighbour's cache to the new owner", {
  skip: process.getuid?.() === 0 ? false : "needs root for network namespaces",
  timeout: 60_000,
}, async () => {
  const id = `hf-ann-${process.pid}-${Math.floor(Math.random() * 1e6)}`;
  const [bridge, client, before, after] = ["bridge", "client", "old", "new"].map(
    (part) => `${id}-${part}`,
  ) as [string, string, string, string];
  const namespaces = [bridge, client, before, after];
  const macOf = (namespace: string) =>
    (
      JSON.parse(inside(namespace, "ip", "-j", "link", "show", "eth0")) as {
        address: string;
        ifindex: number;
      }[]
    )[0] as {
      address: string;
      ifindex: number;
    };
  const cached = (vip: string) =>
    (JSON.parse(inside(client, "ip", "-j", "neigh", "show", "dev", "eth0") || "[]") as Neighbour[]).find(
      ({ dst }) => dst === vip,
    )?.lladdr;
  try {
    for (const namespace of namespaces) run("ip", "netns", "add", namespace);
    inside(bridge, "ip", "link", "add", "br0", "type", "bridge");
    inside(bridge, "ip", "link", "set", "br0", "up");
    namespaces.slice(1).forEach((namespace, index) => {
      inside(
        namespace,
        "ip",
        "link",
        "add",
        "eth0",
        "type",
        "veth",
        "peer",
        "name",
        `p${index}`,
        "netns",
        bridge,
      );
      inside(bridge, "ip", "link", "set", `p${index}`, "master", "br0", "up");
      inside(namespace, "ip", "link", "set", "eth0", "up");
      inside(namespace, "ip", "address", "add", `203.0.113.${100 + index}/24`, "dev", "eth0");
      inside(namespace, "ip", "address", "add", `2001:db8:113::${100 + index}/64`, "dev", "eth0", "nodad");
    });
    // The old owner's kernel stands for whatever answered until now.
    inside(before, "ip", "address", "add", `${VIP4}/32`, "dev", "eth0");
    inside(before, "ip", "address", "add", `${VIP6}/128`, "dev", "eth0", "nodad");
    await until("the client knows the old owner", () => {
      // A datagram makes the client's kernel ask.
      for (const vip of [VIP4, VIP6]) inside(client, "bash", "-c", `echo > /dev/udp/${vip}/9 || true`);
      return [VIP4, VIP6].every((vip) => cached(vip) === macOf(before).address);
    });

    const { address, ifindex } = macOf(after);
    const script = new URL("./announce-once.ts", import.meta.url).pathname;
    const announcer = spawn(
      "nsenter",
      [`--net=/run/netns/${after}`, process.execPath, script, "eth0", String(ifindex), address, VIP4, VIP6],
      { stdio: ["pipe", "pipe", "inherit"] },
    );
    const ended = once(announcer, "exit");
    try {
      const [line] = (await Promise.race([
        once(announcer.stdout, "data"),
        ended.then(([code]) => assert.fail(`the announcer ended with code ${code}`)),
      ])) as [Buffer];
      assert.deepEqual(JSON.parse(line.toString()), {
        sent: 3,
        sendFailures: 0,
        postponed: 0,
        speakerRestarts: 0,
      });
      await until("the client knows the new owner", () =>
        [VIP4, VIP6].every((vip) => cached(vip) === address),
      );
      // Nothing was given to the kernel.
      assert(!inside(after, "ip", "address").includes(`${VIP4}/`));
    } finally {
      announcer.stdin.end();
      await ended;
    }
  } finally {
    for (const namespace of namespaces) {
      try {
        run("ip", "netns", "delete", namespace);
      } catch {
        // It was never made.
      }
    }
  }
});
