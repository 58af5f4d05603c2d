// Deliberate faults in the forwarder, the coordinator and what composes them: each is a mistake that somebody could
// make, put between the real parts. The simulation is good for something only if it finds every one of them.

import type { Announcer } from "@holdfast/announcer";
import type { Coordinator } from "@holdfast/coordinator";
import type { FastPath, ForwarderLimits, Punt } from "@holdfast/forwarder";
import {
  type Address,
  addressBytes,
  addressFromBytes,
  currentCandidate,
  isLiving,
  type SessionDelta,
  type SessionRecord,
  type SessionTable,
  type SessionView,
} from "@holdfast/model";
import type { ClusterLink } from "@holdfast/node/testing";
import {
  CHUNK,
  type Chunk,
  encodeAbort,
  encodeIp,
  IpHeader,
  isMalformed,
  type Packet,
  parseInit,
  parsePacket,
  rewriteInit,
  write32,
  writeChecksum,
} from "@holdfast/sctp";
import { ipPacket } from "./host.ts";
import { ENDPOINT_PORT, networkOf, SERVICES } from "./world.ts";

/** What surrounds the part that a fault spoils. */
export interface FaultContext {
  readonly number: number;
  readonly view: SessionView;
}

export interface WholeFault {
  readonly name: string;
  /** A seed that is known to show it; the test begins there. */
  readonly seed: number;
  readonly limits?: Partial<ForwarderLimits>;
  readonly memberNumber?: (number: number) => number;
  readonly link?: (real: ClusterLink, context: FaultContext) => ClusterLink;
  readonly fastPath?: (real: FastPath, context: FaultContext) => FastPath;
  readonly announcer?: (real: Announcer) => Announcer;
  readonly coordinator?: (real: Coordinator) => Coordinator;
  /** A packet that leaves a member, changed. */
  readonly outgoing?: (packet: Uint8Array, context: FaultContext) => Uint8Array;
  /** A packet that reaches a member, changed. */
  readonly incoming?: (packet: Uint8Array, context: FaultContext) => Uint8Array;
}

/** Everything of the real one but for what `other` replaces. */
function but<Whole extends object>(real: Whole, other: Partial<Whole>): Whole {
  return new Proxy(real, {
    get(target, name) {
      if (Object.hasOwn(other, name)) return Reflect.get(other, name);
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** Changes what the forwarder says to the table; undefined: it says nothing new. */
function saying(
  change: (delta: SessionDelta, known: SessionRecord | undefined) => SessionDelta,
): (real: ClusterLink) => ClusterLink {
  return (real) =>
    but(real, {
      table: but<SessionTable>(real.table, {
        apply: (delta, options) => real.table.apply(change(delta, real.table.get(delta.id)), options),
      }),
    });
}

interface Opened {
  readonly header: IpHeader;
  readonly packet: Packet;
  readonly first: Chunk;
  readonly source: Address;
  readonly destination: Address;
}

function open(bytes: Uint8Array): Opened | undefined {
  const header = new IpHeader();
  if (header.read(bytes) !== undefined) return undefined;
  const packet = parsePacket(bytes, header.payloadOffset, header.end);
  const first = isMalformed(packet) ? undefined : packet.chunks[0];
  if (isMalformed(packet) || first === undefined) return undefined;
  return {
    header,
    packet,
    first,
    source: addressFromBytes(bytes, header.sourceOffset, header.addressSize),
    destination: addressFromBytes(bytes, header.destinationOffset, header.addressSize),
  };
}

/** A restart's INIT with the client's own addresses in the place of the VIPs. */
function leak(bytes: Uint8Array, { view }: FaultContext): Uint8Array {
  const opened = open(bytes);
  if (opened?.first.type !== CHUNK.INIT || opened.packet.destinationPort !== ENDPOINT_PORT) return bytes;
  const { packet, destination, source } = opened;
  const record = view.byNatPort(destination, ENDPOINT_PORT, packet.sourcePort).find(isLiving);
  const init = parseInit(opened.first);
  if (record?.commit === undefined || isMalformed(init) || init.initiateTag === record.commit.clientTag)
    return bytes;
  const rewritten = rewriteInit({
    init,
    packetStart: packet.start,
    sourcePort: packet.sourcePort,
    destinationPort: packet.destinationPort,
    vips: [addressBytes(source), ...[...record.clients.keys()].map(addressBytes)],
    families: { ipv4: true, ipv6: false },
  });
  if (isMalformed(rewritten)) return bytes;
  return encodeIp({
    source: addressBytes(source),
    destination: addressBytes(destination),
    payload: rewritten.packet,
  });
}

/** An ABORT with whatever tag it takes to be believed. */
function believeAbort(bytes: Uint8Array, { view }: FaultContext): Uint8Array {
  const opened = open(bytes);
  if (opened?.first.type !== CHUNK.ABORT || opened.first.flags !== 0) return bytes;
  const { packet, source } = opened;
  for (const service of SERVICES) {
    const [record] = view.byClient(service.id, source, packet.sourcePort);
    const tag = record && currentCandidate(record)?.endpointTag;
    if (tag === undefined) continue;
    const changed = bytes.slice();
    write32(changed, packet.start + 4, tag);
    writeChecksum(changed, packet.start, packet.end);
    return changed;
  }
  return bytes;
}

/** RFC 9260 §8.4 where it must not be followed. */
function abortUnknown(real: FastPath, { view }: FaultContext): FastPath {
  const answer = (punt: Punt): boolean => {
    const opened = punt.reason === "miss" ? open(punt.packet) : undefined;
    if (opened === undefined || networkOf(opened.source) === undefined) return false;
    const { packet, source, destination } = opened;
    const known =
      SERVICES.some(({ id }) => view.byClient(id, source, packet.sourcePort).length > 0) ||
      view.byNatPort(source, packet.sourcePort, packet.destinationPort).length > 0;
    if (known || opened.first.type === CHUNK.COOKIE_ECHO) return false;
    const ports = { source: packet.destinationPort, destination: packet.sourcePort };
    real.send(
      ipPacket(destination, source, ports, packet.verificationTag, [encodeAbort({ reflected: true })]),
    );
    return true;
  };
  return but(real, {
    onPunt: (listener) =>
      real.onPunt((punt) => {
        if (!answer(punt)) listener(punt);
      }),
  });
}

export const WHOLE_FAULTS: readonly WholeFault[] = [
  { name: "a restart's INIT that shows the client's addresses", seed: 1, outgoing: leak },
  { name: "a NAT port slot that two members share", seed: 27, memberNumber: () => 0 },
  {
    name: "flows that nobody installs from replicas",
    seed: 1,
    link: (real) =>
      but(real, {
        table: but<SessionTable>(real.table, {
          subscribe: (listener) =>
            real.table.subscribe((change) => {
              if (change.origin === "local" || change.record === undefined) listener(change);
            }),
        }),
      }),
  },
  { name: "an ABORT whose tag nobody compares", seed: 1, incoming: believeAbort },
  {
    name: "a list that ends what it leaves out",
    seed: 1,
    link: (real) =>
      but(real, {
        store: but(real.store, {
          commit: (change) =>
            real.store.commit({
              ...change,
              ...(change.put !== undefined && {
                put: change.put.map(({ leaving: _, ...service }) => service),
              }),
            }),
        }),
      }),
  },
  {
    name: "an owner that has not caught up",
    seed: 1,
    coordinator: (real) =>
      but(real, {
        setReadiness: (readiness) => real.setReadiness({ ...readiness, ready: true, caughtUp: true }),
      }),
  },
  {
    name: "an owner that does not let go",
    seed: 1,
    fastPath: (real) => {
      const owned = new Set<Address>();
      return but(real, {
        setLocal: (addresses) => {
          for (const local of addresses) if (local.owned) owned.add(local.address);
          real.setLocal(addresses.map((local) => ({ ...local, owned: owned.has(local.address) })));
        },
      });
    },
  },
  {
    name: "an endpoint's death that absorbs",
    seed: 24,
    link: saying((delta) =>
      delta.end?.cause === "endpointDown" ? { ...delta, end: { ...delta.end, absorbing: true } } : delta,
    ),
  },
  {
    name: "embryos whose quota is never given back",
    seed: 1,
    limits: {
      initTimeoutMs: Number.POSITIVE_INFINITY,
      handshakeTimeoutMs: Number.POSITIVE_INFINITY,
      embryoEvictableMs: Number.POSITIVE_INFINITY,
    },
  },
  {
    name: "a tracker that forgets the second generation",
    seed: 1,
    link: saying((delta, known) => {
      if (known?.commit === undefined || delta.generations === undefined) return delta;
      const { generations: _, ...rest } = delta;
      const own = [...delta.generations].filter(([tag]) => tag === known.commit?.clientTag);
      return own.length === 0 ? rest : { ...rest, generations: new Map(own) };
    }),
  },
  {
    name: "activity that nobody reports",
    seed: 1,
    link: saying((delta) => {
      const { activity: _, ...rest } = delta;
      return rest;
    }),
  },
  {
    name: "a daemon that forgets what its data plane carries",
    seed: 14,
    fastPath: (real) => {
      let isFirst = true;
      return but(real, {
        sweep: (cursor, visit) => {
          const adopts = isFirst;
          isFirst = false;
          return adopts
            ? undefined
            : real.sweep(cursor, (flow, counters) => {
                const verdict = visit(flow, counters);
                return verdict === "remove" ? "keep" : verdict;
              });
        },
      });
    },
  },
  {
    name: "an INIT-ACK that waits for nobody",
    seed: 22,
    link: (real) =>
      but(real, { replication: but(real.replication, { released: () => Promise.resolve(true) }) }),
  },
  { name: "an ABORT for whatever is unknown", seed: 2, fastPath: abortUnknown },
  {
    name: "a port that is lent to whoever asks",
    seed: 1,
    link: (real) =>
      but(real, {
        onRequest: (topic, handler) =>
          real.onRequest(topic, topic === "nat-port" ? () => Uint8Array.of(1) : handler),
      }),
  },
];
