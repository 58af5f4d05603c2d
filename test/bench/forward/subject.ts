// A fast path with its flows, in a process and a network namespace of its own: `subject.ts MODE FORWARDER
// PROTOCOL`, where FORWARDER is the address of a build's forwarder. It says "ready" over IPC, and takes all
// away when IPC ends.
import type * as Forwarder from "@holdfast/forwarder";
import { addressFromBytes, PROTOCOL_SCTP } from "@holdfast/model";
import { PROTOCOL } from "@holdfast/sctp";
import {
  ENDPOINT,
  ENDPOINT_PORT,
  FLOW_COUNT_MAX,
  SERVICE_PORT,
  SOURCE,
  SOURCE_PORT,
  TAG,
  VIP,
} from "./testbed.ts";

export type SubjectMode = "xdp" | "xdp-generic" | "tc" | "userspace";

/** Opens the fast path in the current network namespace, and gives it the service and its flows. */
export async function openSubject(
  forwarder: typeof Forwarder,
  mode: SubjectMode,
): Promise<Forwarder.FastPath> {
  const options = { interfaces: ["dut0", "dut1"], flowCountMax: 2 * FLOW_COUNT_MAX };
  // Asynchronous in form only: everything that depends on the namespace happens at once.
  const opening =
    mode === "userspace"
      ? forwarder.openUserspaceFastPath(options)
      : forwarder.openBpfFastPath({ ...options, mode });
  return opening;
}

export function fill(fastPath: Forwarder.FastPath, protocol: number): void {
  // Builds from before ports had a protocol take a number, and this is one as well.
  const served = { protocol, port: SERVICE_PORT, valueOf: () => SERVICE_PORT };
  fastPath.setLocal([{ address: VIP, owned: true, ports: [served] }]);
  fastPath.setEndpoints([{ protocol, address: ENDPOINT, port: ENDPOINT_PORT }]);
  for (let n = 0; n < FLOW_COUNT_MAX; n++) {
    const installed = protocol === PROTOCOL_SCTP ? install(fastPath, n) : installPlain(fastPath, n, protocol);
    if (!installed) throw new Error("the flow table is full");
  }
}

type Rewrite = Omit<Forwarder.Flow, "tag" | "pending" | "heartbeatOnly" | "learn" | "session">;

/** Both directions, as a session has them; the benchmark sends up. */
function directions(protocol: number, n: number): readonly Rewrite[] {
  const client = addressFromBytes(clientBytes(n));
  const natPort = 10_000 + n;
  return [
    {
      key: {
        protocol,
        source: client,
        destination: VIP,
        sourcePort: SOURCE_PORT + n,
        destinationPort: SERVICE_PORT,
      },
      newSource: VIP,
      newDestination: ENDPOINT,
      newSourcePort: natPort,
      newDestinationPort: ENDPOINT_PORT,
      direction: "up",
    },
    {
      key: {
        protocol,
        source: ENDPOINT,
        destination: VIP,
        sourcePort: ENDPOINT_PORT,
        destinationPort: natPort,
      },
      newSource: VIP,
      newDestination: client,
      newSourcePort: SERVICE_PORT,
      newDestinationPort: SOURCE_PORT + n,
      direction: "down",
    },
  ];
}

function install(fastPath: Forwarder.FastPath, n: number): boolean {
  const shared = { tag: TAG, pending: false, heartbeatOnly: false, learn: false, session: n + 1 };
  return directions(PROTOCOL_SCTP, n).every((rewrite) => fastPath.install({ ...rewrite, ...shared }));
}

function installPlain(fastPath: Forwarder.FastPath, n: number, protocol: number): boolean {
  const shared = { handshake: false, learn: false, assured: true, session: n + 1 };
  const tcp = protocol === PROTOCOL.TCP ? { tcp: { windowScale: 7, shift: 0 } } : {};
  return directions(protocol, n).every((rewrite) =>
    fastPath.plain.install({ ...rewrite, ...shared, ...tcp }),
  );
}

export function clientBytes(n: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(SOURCE + n);
  return bytes;
}

if (import.meta.main) {
  const [mode, forwarder, protocol] = process.argv.slice(2) as [SubjectMode, string, string];
  const fastPath = await openSubject((await import(forwarder)) as typeof Forwarder, mode);
  fill(fastPath, Number(protocol));
  process.once("disconnect", () => void fastPath.uninstall().finally(() => process.exit(0)));
  process.send?.("ready");
}
