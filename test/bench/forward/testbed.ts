// Generator, device and sink in network namespaces of their own, one set per case, so that cases can take
// turns.
//
//   gen0 ═ dut0   dut1 ═ sink0
import { execFileSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import type { Address } from "@holdfast/model";
import koffi from "koffi";
import { BenchOptionError, textOf } from "../options/options.ts";

const CLONE_NEWNET = 0x4000_0000;

export interface Family {
  readonly name: "ipv4" | "ipv6";
  readonly vip: Address;
  readonly endpoint: Address;
  /** Of the clients' addresses: what stands before the last four bytes. */
  readonly clientPrefix: Uint8Array;
}

export const IPV4: Family = {
  name: "ipv4",
  vip: "203.0.113.1",
  endpoint: "10.9.0.20",
  clientPrefix: new Uint8Array(0),
};
export const IPV6: Family = {
  name: "ipv6",
  vip: "2001:db8:1::1",
  endpoint: "fd00:9::20",
  clientPrefix: Uint8Array.of(0xfd, 0, 0, 0x64, 0, 0, 0, 0, 0, 0, 0, 0),
};
export const { vip: VIP, endpoint: ENDPOINT } = IPV4;
export const SERVICE_PORT = 38_412;
export const ENDPOINT_PORT = 7_000;
export const TAG = 0xe4d0_0002;
/** First client: 10.64.0.1, fd00:64::a40:1. */
export const SOURCE = 0x0a40_0001;
export const SOURCE_PORT = 1_024;
export const FLOW_COUNT_MAX = 50_000;
const FLOW_COUNT_LEAST = 64;

/** `--flows N,N…` among the arguments, each at most FLOW_COUNT_MAX; else few and as many as may be. */
export function flowCountsOf(args: readonly string[]): readonly number[] {
  const counts = textOf(args, "flows") ?? `${FLOW_COUNT_LEAST},${FLOW_COUNT_MAX}`;
  return counts.split(",").map((text) => {
    const count = Number(text);
    if (!Number.isInteger(count) || count < 1 || count > FLOW_COUNT_MAX)
      throw new BenchOptionError(`--flows takes numbers from 1 to ${FLOW_COUNT_MAX}, not '${text}'`);
    return count;
  });
}

const setns = koffi.load("libc.so.6").func("int setns(int fd, int type)");

/** Runs `action` with this thread in the namespace. */
export function inside<T>(namespace: string, action: () => T): T {
  const home = openSync("/proc/thread-self/ns/net", "r");
  const there = openSync(`/run/netns/${namespace}`, "r");
  try {
    if (setns(there, CLONE_NEWNET) !== 0) throw new Error(`cannot enter ${namespace}`);
    return action();
  } finally {
    setns(home, CLONE_NEWNET);
    closeSync(home);
    closeSync(there);
  }
}

export class Testbed {
  readonly generator: string;
  readonly device: string;
  readonly sink: string;
  /** MACs and indexes by interface name. */
  readonly links = new Map<string, { readonly mac: string; readonly index: number }>();

  /** `name` is unique on this machine. */
  constructor(name: string, family: Family = IPV4) {
    [this.generator, this.device, this.sink] = [`${name}-g`, `${name}-d`, `${name}-s`];
    const netns = (...words: string[]) => execFileSync("ip", ["netns", ...words]);
    for (const namespace of this.namespaces) netns("add", namespace);
    execFileSync("ip", ["-batch", "-"], {
      input: [
        `link add gen0 netns ${this.generator} type veth peer name dut0 netns ${this.device}`,
        `link add dut1 netns ${this.device} type veth peer name sink0 netns ${this.sink}`,
      ].join("\n"),
    });
    for (const [namespace, interfaces] of [
      [this.generator, ["gen0"]],
      [this.device, ["dut0", "dut1"]],
      [this.sink, ["sink0"]],
    ] as const) {
      const isIpv6 = family === IPV6 && namespace === this.device;
      // Without addresses of its own making, and what it would say about them.
      const none = isIpv6 ? "default.addr_gen_mode=1" : "all.disable_ipv6=1";
      this.run(namespace, `sysctl -qw net.ipv6.conf.${none}`);
      if (isIpv6) for (const each of interfaces) this.run(namespace, `ip link set ${each} addrgenmode none`);
      for (const each of interfaces) {
        this.run(namespace, `ip link set ${each} up`);
        // What XDP sends into a veth arrives only where the other end receives by NAPI.
        this.run(namespace, `ethtool -K ${each} gro on`);
        const [line] = JSON.parse(this.run(namespace, `ip -j link show ${each}`)) as {
          address: string;
          ifindex: number;
        }[];
        if (line === undefined) throw new Error(`${each} is missing`);
        this.links.set(each, { mac: line.address, index: line.ifindex });
      }
    }
    for (const command of [
      "sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv4.conf.dut0.rp_filter=0 net.ipv4.conf.dut1.rp_filter=0",
      "ip addr add 10.1.0.2/24 dev dut0",
      "ip addr add 10.9.0.2/24 dev dut1",
      "ip neigh replace 10.1.0.9 lladdr 02:00:00:00:00:09 dev dut0 nud permanent",
      "ip route add 10.64.0.0/10 via 10.1.0.9",
      `ip neigh replace ${ENDPOINT} lladdr ${this.link("sink0").mac} dev dut1 nud permanent`,
      ...(family === IPV6 ? this.#commands6() : []),
    ]) {
      this.run(this.device, command);
    }
  }

  #commands6(): readonly string[] {
    return [
      "ip addr add fd00:1::2/64 dev dut0 nodad",
      "ip addr add fd00:9::2/64 dev dut1 nodad",
      "ip neigh replace fd00:1::9 lladdr 02:00:00:00:00:09 dev dut0 nud permanent",
      "ip route add fd00:64::/64 via fd00:1::9",
      `ip neigh replace ${IPV6.endpoint} lladdr ${this.link("sink0").mac} dev dut1 nud permanent`,
    ];
  }

  get namespaces(): string[] {
    return [this.generator, this.device, this.sink];
  }

  link(name: string): { readonly mac: string; readonly index: number } {
    const link = this.links.get(name);
    if (link === undefined) throw new Error(`there is no ${name}`);
    return link;
  }

  run(namespace: string, command: string, input = ""): string {
    return execFileSync("nsenter", [`--net=/run/netns/${namespace}`, "sh", "-c", command], {
      input,
    }).toString();
  }

  close(): void {
    for (const namespace of this.namespaces) execFileSync("ip", ["netns", "del", namespace]);
  }
}
