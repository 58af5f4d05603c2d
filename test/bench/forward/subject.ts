// A fast path with its flows, in a process and a network namespace of its own: `subject.ts MODE FORWARDER
// PROTOCOL FAMILY [HAND-OVER]`, where FORWARDER is the address of a build's forwarder. It says "ready" over
// IPC, and takes all away when IPC ends.
import type * as Forwarder from "@holdfast/forwarder";
import { addressFromBytes, PROTOCOL_SCTP } from "@holdfast/model";
import { PROTOCOL } from "@holdfast/sctp";
import {
  ENDPOINT_PORT,
  type Family,
  FLOW_COUNT_MAX,
  IPV4,
  IPV6,
  SERVICE_PORT,
  SOURCE,
  SOURCE_PORT,
  TAG,
} from "./testbed.ts";

export type HandOver = "none" | "veth";
export type SubjectMode = "xdp" | "xdp-generic" | "tc" | "userspace";

/** Opens the fast path in the current network namespace, and gives it the service and its flows. */
export async function openSubject(
  forwarder: typeof Forwarder,
  mode: SubjectMode,
  handOver: HandOver = "none",
): Promise<Forwarder.FastPath> {
  const options = { interfaces: ["dut0", "dut1"], flowCountMax: 2 * FLOW_COUNT_MAX };
  // Asynchronous in form only: everything that depends on the namespace happens at once.
  const opening =
    mode === "userspace"
      ? forwarder.openUserspaceFastPath(options)
      : forwarder.openBpfFastPath({ ...options, mode, handOver });
  return opening;
}

export function fill(
  fastPath: Forwarder.FastPath,
  protocol: number,
  family: Family = IPV4,
  flowCount = FLOW_COUNT_MAX,
): void {
  // Builds from before ports had a protocol take a number, and this is one as well.
  const served = { protocol, port: SERVICE_PORT, valueOf: () => SERVICE_PORT };
  fastPath.setLocal([{ address: family.vip, owned: true, ports: [served] }]);
  fastPath.setEndpoints([{ protocol, address: family.endpoint, port: ENDPOINT_PORT }]);
  for (let n = 0; n < flowCount; n++) {
    const both = directions(protocol, n, family);
    const installed =
      protocol === PROTOCOL_SCTP ? install(fastPath, n, both) : installPlain(fastPath, n, protocol, both);
    if (!installed) throw new Error("the flow table is full");
  }
}

type Rewrite = Omit<Forwarder.Flow, "tag" | "pending" | "heartbeatOnly" | "learn" | "session">;

/** Both directions, as a session has them; the benchmark sends up. */
function directions(protocol: number, n: number, family: Family): readonly Rewrite[] {
  const { vip, endpoint } = family;
  const client = addressFromBytes(clientBytes(n, family));
  const natPort = 10_000 + n;
  return [
    {
      key: {
        protocol,
        source: client,
        destination: vip,
        sourcePort: SOURCE_PORT + n,
        destinationPort: SERVICE_PORT,
      },
      newSource: vip,
      newDestination: endpoint,
      newSourcePort: natPort,
      newDestinationPort: ENDPOINT_PORT,
      direction: "up",
    },
    {
      key: {
        protocol,
        source: endpoint,
        destination: vip,
        sourcePort: ENDPOINT_PORT,
        destinationPort: natPort,
      },
      newSource: vip,
      newDestination: client,
      newSourcePort: SERVICE_PORT,
      newDestinationPort: SOURCE_PORT + n,
      direction: "down",
    },
  ];
}

function install(fastPath: Forwarder.FastPath, n: number, both: readonly Rewrite[]): boolean {
  const shared = { tag: TAG, pending: false, heartbeatOnly: false, learn: false, session: n + 1 };
  return both.every((rewrite) => fastPath.install({ ...rewrite, ...shared }));
}

function installPlain(
  fastPath: Forwarder.FastPath,
  n: number,
  protocol: number,
  both: readonly Rewrite[],
): boolean {
  const shared = { handshake: false, learn: false, assured: true, session: n + 1 };
  const tcp = protocol === PROTOCOL.TCP ? { tcp: { windowScale: 7, shift: 0 } } : {};
  return both.every((rewrite) => fastPath.plain.install({ ...rewrite, ...shared, ...tcp }));
}

export function clientBytes(n: number, { clientPrefix }: Family): Buffer {
  const bytes = Buffer.alloc(clientPrefix.length + 4);
  bytes.set(clientPrefix);
  bytes.writeUInt32BE(SOURCE + n, clientPrefix.length);
  return bytes;
}

if (import.meta.main) {
  const words = process.argv.slice(2) as [SubjectMode, string, string, string, HandOver?];
  const [mode, forwarder, protocol, family, handOver] = words;
  const fastPath = await openSubject((await import(forwarder)) as typeof Forwarder, mode, handOver);
  fill(fastPath, Number(protocol), family === IPV6.name ? IPV6 : IPV4);
  process.once("disconnect", () => void fastPath.uninstall().finally(() => process.exit(0)));
  process.send?.("ready");
}
