// The compliance suite's rig on real interfaces: two veth pairs in a network namespace of this process's own.
// It is left when the process ends, and with it all that was made in it. Linux, root.
//
//   test ── client0 ═ hfclient ── fast path ── hfcore ═ core0 ── test

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { type Address, addressBytes } from "@holdfast/model";
import { IpHeader, PROTOCOL, read16, write16 } from "@holdfast/sctp";
import koffi from "koffi";
import { check, libc, setOption } from "../../kernel/libc.ts";
import { SOL_PACKET } from "../../kernel/numbers.ts";
import {
  ETH_HEADER_SIZE,
  ETH_P_IP,
  ETH_P_IPV6,
  openPacketSocket,
  receiveFrame,
  sendFrame,
  setReceiveBuffer,
} from "../../kernel/packet-socket.ts";
import type { FastPath } from "../port.ts";
import { type InterfaceFacts, interfaceFacts } from "../userspace/interface.ts";
import type { Harness, Rig, RigOptions } from "./rig.ts";
import { CLIENT_MTU, CORE_MTU, FAMILIES, type Side } from "./world.ts";

const CLONE_NEWNET = 0x4000_0000;

/** Why the lab cannot run here; undefined when it can. */
export function labObstacle(): string | undefined {
  if (process.platform !== "linux") return "needs Linux";
  return process.getuid?.() === 0 ? undefined : "needs root, for a network namespace and raw sockets";
}

let made: Links | undefined;

interface Links {
  readonly facts: Readonly<Record<"client0" | "hfclient" | "hfcore" | "core0", InterfaceFacts>>;
}

/** Moves the main thread into a fresh network namespace and makes the links, once a process. */
export function makeLinks(): Links {
  if (made !== undefined) return made;
  const unshare = koffi.load("libc.so.6").func("int unshare(int flags)");
  check("unshare", unshare(CLONE_NEWNET));
  // Written through /proc/sys as this thread sees it: the new namespace's.
  const sysctl = (name: string, value: number) => writeFileSync(`/proc/sys/net/${name}`, String(value));
  sysctl("ipv4/conf/all/rp_filter", 0);
  sysctl("ipv4/conf/default/rp_filter", 0);
  sysctl("ipv4/ip_forward", 0);
  sysctl("ipv6/conf/all/forwarding", 0);
  ip(
    "link set lo up",
    `link add client0 mtu ${CLIENT_MTU} type veth peer name hfclient mtu ${CLIENT_MTU}`,
    `link add hfcore mtu ${CORE_MTU} type veth peer name core0 mtu ${CORE_MTU}`,
  );
  // The far ends are wires, not hosts.
  for (const name of ["client0", "core0"]) sysctl(`ipv6/conf/${name}/disable_ipv6`, 1);
  // The near ends would answer or route, if nobody kept them from it.
  for (const name of ["hfclient", "hfcore"]) {
    sysctl(`ipv4/conf/${name}/forwarding`, 1);
    sysctl(`ipv6/conf/${name}/router_solicitations`, 0);
  }
  ip(...["client0", "hfclient", "hfcore", "core0"].map((name) => `link set ${name} up`));
  ip(
    "addr add 10.1.0.2/24 dev hfclient",
    "addr add fd00:1::2/64 dev hfclient nodad",
    "addr add 10.9.0.2/24 dev hfcore",
    "addr add fd00:9::2/64 dev hfcore nodad",
  );
  const facts = {
    client0: interfaceFacts("client0"),
    hfclient: interfaceFacts("hfclient"),
    hfcore: interfaceFacts("hfcore"),
    core0: interfaceFacts("core0"),
  };
  for (const { client, client2, endpoint } of FAMILIES) {
    for (const address of [client, client2]) neighbour(address, facts.client0, "hfclient");
    neighbour(endpoint, facts.core0, "hfcore");
  }
  made = { facts };
  return made;
}

function neighbour(address: Address, { mac }: InterfaceFacts, device: string): void {
  ip(`neigh replace ${address} lladdr ${macText(mac)} dev ${device} nud permanent`);
}

export function macText(mac: Uint8Array): string {
  return Array.from(mac, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}

function ip(...commands: string[]): void {
  execFileSync("ip", ["-batch", "-"], { input: `${commands.join("\n")}\n` });
}

/** A harness for fast paths that sit on interfaces hfclient and hfcore. */
export function labHarness(
  open: (interfaces: readonly string[], options: RigOptions) => Promise<FastPath>,
): Harness {
  return {
    async open(options) {
      const { facts } = makeLinks();
      const client = new Wire(facts.client0, facts.hfclient);
      const core = new Wire(facts.core0, facts.hfcore);
      const fastPath = await open(["hfclient", "hfcore"], options);
      const wires: Readonly<Record<Side, Wire>> = { client, core };
      const rig: Rig = {
        fastPath,
        interfaces: { client: facts.hfclient.index, core: facts.hfcore.index },
        inject: (side, packet) => wires[side].inject(packet),
        received: (side) => wires[side].received(),
        link: {
          mac: (side, end) => (end === "test" ? wires[side].near : wires[side].far).mac,
          injectFrame: (side, frame) => wires[side].injectFrame(frame),
          receivedFrames: (side) => wires[side].receivedFrames(),
          injectPartial: (side, packet) => wires[side].injectPartial(packet),
        },
        async close() {
          await fastPath.uninstall();
          client.close();
          core.close();
        },
      };
      return rig;
    },
  };
}

const PACKET_VNET_HDR = 15;

const CHECKSUM_OFFSETS: ReadonlyMap<number, number> = new Map([
  [PROTOCOL.SCTP, 8],
  [PROTOCOL.TCP, 16],
  [PROTOCOL.UDP, 6],
]);

/** Frames as large as any that segmentation offload makes. */
const FRAME_SIZE_MAX = 66_000;

/** The test's end of a link. */
export class Wire {
  readonly near: InterfaceFacts;
  readonly far: InterfaceFacts;
  readonly #fd: number;
  readonly #frames: Uint8Array[] = [];
  readonly #packets: Uint8Array[] = [];
  readonly #buffer = new Uint8Array(FRAME_SIZE_MAX);
  readonly #header = new IpHeader();

  /** `near` is the test's interface, `far` the fast path's. */
  constructor(near: InterfaceFacts, far: InterfaceFacts) {
    this.near = near;
    this.far = far;
    this.#fd = openPacketSocket(near.index, (fd) => setReceiveBuffer(fd, 4 << 20));
  }

  /** Sends an IP packet to the fast path's host. */
  inject(packet: Uint8Array): void {
    this.injectFrame(this.#frameOf(packet));
  }

  injectFrame(frame: Uint8Array): void {
    if (!sendFrame(this.#fd, frame)) throw new Error("the frame did not leave");
  }

  /** The kernel marks the packet: it has the checksum computed by hardware that is not there. */
  injectPartial(packet: Uint8Array): void {
    this.#header.read(packet);
    const start = ETH_HEADER_SIZE + this.#header.payloadOffset;
    const frame = this.#frameOf(packet);
    // struct virtio_net_hdr: NEEDS_CSUM, no segmentation, where the checksummed part starts, where its field
    // is.
    const prefixed = new Uint8Array(10 + frame.length);
    const view = new DataView(prefixed.buffer);
    view.setUint8(0, 1);
    view.setUint16(6, start, true);
    view.setUint16(8, CHECKSUM_OFFSETS.get(this.#header.protocol) ?? 8, true);
    prefixed.set(frame, 10);
    const fd = openPacketSocket(this.near.index, (each) => setOption(each, SOL_PACKET, PACKET_VNET_HDR, 1));
    try {
      if (!sendFrame(fd, prefixed)) throw new Error("the frame did not leave");
    } finally {
      libc().close(fd);
    }
  }

  /** IP packets for clients and endpoints that came, without link-layer padding. */
  received(): readonly Uint8Array[] {
    this.#drain();
    return this.#packets;
  }

  receivedFrames(): readonly Uint8Array[] {
    this.#drain();
    return this.#frames;
  }

  #drain(): void {
    for (;;) {
      const length = receiveFrame(this.#fd, this.#buffer);
      if (length === undefined) return;
      const frame = this.#buffer.slice(0, length);
      this.#frames.push(frame);
      this.#keepPacket(frame);
    }
  }

  #keepPacket(frame: Uint8Array): void {
    const packet = frame.subarray(ETH_HEADER_SIZE);
    const header = this.#header;
    if (![ETH_P_IP, ETH_P_IPV6].includes(read16(frame, 12)) || header.read(packet) !== undefined) return;
    const { destinationOffset, addressSize } = header;
    const destination = packet.subarray(destinationOffset, destinationOffset + addressSize);
    // What the host's IPv6 says by itself is for groups.
    if (HOSTS.has(String(destination))) this.#packets.push(packet.slice(0, header.end));
  }

  #frameOf(packet: Uint8Array): Uint8Array {
    const frame = new Uint8Array(ETH_HEADER_SIZE + packet.length);
    frame.set(this.far.mac);
    frame.set(this.near.mac, 6);
    write16(frame, 12, (packet[0] as number) >>> 4 === 4 ? ETH_P_IP : ETH_P_IPV6);
    frame.set(packet, ETH_HEADER_SIZE);
    return frame;
  }

  close(): void {
    libc().close(this.#fd);
  }
}

const HOSTS: ReadonlySet<string> = new Set(
  FAMILIES.flatMap(({ client, client2, endpoint }) => [client, client2, endpoint]).map((address) =>
    String(addressBytes(address)),
  ),
);
