// Members of different versions in one cluster: what each says in its greeting, judged by the product's own admission,
// and what a version may have changed: sizes, periods, how long journals remember.
import {
  CAPABILITIES,
  decodeLinkMessage,
  encodeLinkMessage,
  type Greeting,
  isStranger,
  type Listing,
  laterListOf,
  MessageWriter,
  NOT_CONFIGURED,
  type PeerIdentity,
  PROTOCOL_VERSION,
  REMOVED,
  refusalOf,
  type Transport,
  type TransportHandlers,
  writeFields,
} from "@holdfast/sync/testing";
import { MEMBER_NUMBER_COUNT, TIMES } from "./world.ts";

export interface Version {
  readonly lowest: number;
  readonly highest: number;
  /** Bytes of a field of the greeting that only later versions know; 0: it has none. */
  readonly greetingField: number;
  /** undefined: it is older than capabilities are. */
  readonly capabilities: readonly string[] | undefined;
  /** It writes journal entries that the others do not know, once all offer to carry them. */
  readonly isLater?: boolean;
  readonly replication: {
    readonly memoryMs: number;
    readonly segmentTickMax: number;
    readonly segmentDeltaMax: number;
    readonly summaryPeriodMs: number;
  };
}

const P = PROTOCOL_VERSION;
const LATER_FIELD = 99;

/** Each can talk to its neighbours in this list; the first and the last refuse each other. */
export const VERSIONS: readonly Version[] = [
  {
    lowest: P,
    highest: P,
    greetingField: 0,
    capabilities: undefined,
    replication: {
      memoryMs: TIMES.memoryMs,
      segmentTickMax: 24,
      segmentDeltaMax: 64,
      summaryPeriodMs: TIMES.memoryMs / 2,
    },
  },
  {
    lowest: P,
    highest: P + 1,
    greetingField: 7,
    capabilities: CAPABILITIES,
    replication: {
      memoryMs: TIMES.memoryMs * 1.4,
      segmentTickMax: 12,
      segmentDeltaMax: 24,
      summaryPeriodMs: TIMES.memoryMs / 3,
    },
  },
  {
    lowest: P + 1,
    highest: P + 2,
    greetingField: 40,
    capabilities: [...CAPABILITIES, "what-nobody-knows"],
    isLater: true,
    replication: {
      memoryMs: TIMES.memoryMs * 0.8,
      segmentTickMax: 32,
      segmentDeltaMax: 48,
      summaryPeriodMs: TIMES.memoryMs / 2,
    },
  },
];

const STRANGERS_ADDRESS = "10.9.0.1";

/** Greetings of the members that run, as bytes on the wire. */
export class Greetings {
  readonly #bytes = new Map<number, Uint8Array>();
  /** What each says of its list to whom it dials. */
  readonly #listings = new Map<number, Listing>();
  refusals = 0;

  /**
   * The transport of a member of that version, with these members in its file: only whom it admits is shown
   * to the engine.
   */
  admit(
    transport: Transport,
    identity: PeerIdentity,
    listed: readonly PeerIdentity[],
    version: Version,
    instance: Uint8Array,
  ): Transport {
    const own = this.#greet(identity, version, instance);
    const admitted = new Set<number>();
    let configured: ReadonlyMap<string, number> | undefined = new Map(
      listed.map(({ name, number }) => [name, number]),
    );
    let removed: ReadonlySet<string> = new Set();
    let listVersion = 0;
    this.#listings.delete(identity.number);
    const judged = (handlers: TransportHandlers): TransportHandlers => ({
      connected: (peer) => {
        const heard = this.#bytes.get(peer.number);
        const message = heard && decodeLinkMessage(heard);
        if (message?.kind !== "greeting") throw new Error(`${identity.name} cannot read a greeting`);
        const certified = { clusterId: own.clusterId, memberName: peer.name, memberNumber: peer.number };
        const later = this.#laterListOf(peer.number, identity, listVersion);
        const known = { configured, ...(later === undefined && { removed }) };
        const context = { own, certified, expected: peer.name, ...known };
        const refusal = refusalOf(message.greeting, context);
        if (refusal !== undefined) {
          this.refusals++;
          if (later !== undefined && isStranger(refusal, later))
            handlers.applied?.({ ...peer, addresses: [STRANGERS_ADDRESS], listVersion: later });
          transport.refuse(peer.number, refusal.reason);
          return;
        }
        admitted.add(peer.number);
        handlers.connected({ ...peer, capabilities: message.greeting.capabilities ?? [] });
      },
      disconnected: (peer, reason) => {
        // A listed member's word.
        if (reason === `refused: ${REMOVED}` && configured?.get(peer.name) === peer.number)
          handlers.turnedAway?.(peer.name, "excluded");
        if (admitted.delete(peer.number)) handlers.disconnected(peer, reason);
      },
      message: (peer, message) => {
        if (admitted.has(peer.number)) handlers.message(peer, message);
      },
      dropped: (peer) => {
        if (admitted.has(peer.number)) handlers.dropped(peer);
      },
    });
    return {
      start: (handlers) => transport.start(judged(handlers)),
      peers: () => transport.peers().filter(({ number }) => admitted.has(number)),
      send: (peer, message) => admitted.has(peer) && transport.send(peer, message),
      queuedBytes: (peer) => transport.queuedBytes(peer),
      refuse: (peer, reason) => transport.refuse(peer, reason),
      setMembers: (listing) => {
        const isJoining = (listing.join ?? []).length > 0;
        configured = isJoining ? undefined : new Map(listing.members.map((each) => [each.name, each.number]));
        removed = new Set(listing.removed ?? []);
        listVersion = listing.version ?? 0;
        if (version.capabilities !== undefined) this.#listings.set(identity.number, listing);
        for (const { name, number } of transport.peers())
          if (admitted.has(number) && configured?.get(name) === undefined && !isJoining)
            transport.refuse(number, removed.has(name) ? REMOVED : NOT_CONFIGURED);
      },
      stop: () => transport.stop(),
    };
  }

  /** As in the greeting of a dialler, which knows by name whom it dials. */
  #laterListOf(of: number, { name, number }: PeerIdentity, version: number): number | undefined {
    const listing = this.#listings.get(of);
    const self = listing?.members.find((member) => member.name === name);
    if (listing?.version === undefined || listing.version === 0 || self === undefined) return undefined;
    const list = { version: listing.version, memberNumber: self.number };
    return laterListOf({ list }, { memberNumber: number }, version);
  }

  #greet(identity: PeerIdentity, version: Version, instance: Uint8Array): Greeting {
    const own: Greeting = {
      versionLowest: version.lowest,
      versionHighest: version.highest,
      clusterId: "holdfast",
      memberName: identity.name,
      memberNumber: identity.number,
      memberNumberCount: MEMBER_NUMBER_COUNT,
      instance,
      ...(version.capabilities !== undefined && { capabilities: version.capabilities }),
    };
    const encoded = encodeLinkMessage({ kind: "greeting", greeting: own });
    const later = new MessageWriter();
    if (version.greetingField > 0)
      writeFields(later, new Map([[LATER_FIELD, new Uint8Array(version.greetingField).fill(0xa5)]]));
    this.#bytes.set(identity.number, Buffer.concat([encoded, later.finish()]));
    return own;
  }
}
