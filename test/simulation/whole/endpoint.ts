// An endpoint: stateless until the cookie comes back, then one association by (address, port) of the other end, with the
// rules for restarts and duplicates of RFC 9260 §5.2.

import { WAY_PORT_FIRST } from "@holdfast/forwarder/testing";
import { type Address, addressFromBytes, MEMBER_NUMBER_COUNT_MAX } from "@holdfast/model";
import {
  CHUNK,
  type Chunk,
  chunkValue,
  encodeAbort,
  encodeCookieAck,
  encodeInitAck,
  encodeParameter,
  encodeShutdownComplete,
  isMalformed,
  PARAMETER,
  parseInit,
} from "@holdfast/sctp";
import { Association } from "./association.ts";
import { Host, type Received, type Surroundings } from "./host.ts";
import { type Instance, nameOf } from "./ledger.ts";
import { ENDPOINT_PORT, networkOf, SERVICES, TIMES } from "./world.ts";

interface Cookie {
  readonly peerTag: number;
  readonly ownTag: number;
  readonly port: number;
  readonly addresses: readonly Address[];
  readonly atMs: number;
  readonly tieOwn: number;
  readonly tiePeer: number;
}

export class Endpoint extends Host {
  readonly address: Address;
  /** Its process is not there. */
  isDown = false;
  restartCount = 0;
  /** "address|port" of the other end; every address of an association leads to it. */
  readonly #associations = new Map<string, Association>();

  constructor(name: string, address: Address, around: Surroundings) {
    super(name, [address], around);
    this.address = address;
  }

  get associations(): Set<Association> {
    return new Set(this.#associations.values());
  }

  /** The process dies: nothing of its associations is known any more. */
  crash(): void {
    this.isDown = true;
    for (const association of this.associations) {
      association.instance.endpointLost = true;
      association.close();
    }
    // A handshake whose cookie is under way fails, too.
    for (const instance of this.around.ledger.instances)
      if (instance.state === "opening" || instance.endpoint === this.name) instance.endpointLost = true;
  }

  start(): void {
    this.isDown = false;
  }

  associationOf(instance: Instance): Association | undefined {
    for (const association of this.#associations.values())
      if (association.instance === instance) return association;
    return undefined;
  }

  shutdown(instance: Instance): void {
    const association = this.associationOf(instance);
    if (association === undefined || instance.state !== "alive") return;
    instance.state = "closing";
    association.shutdown();
  }

  abort(instance: Instance): void {
    const association = this.associationOf(instance);
    if (association === undefined || instance.state !== "alive") return;
    instance.state = "closing";
    association.abort();
  }

  /** Of associations whose client is gone. */
  giveUp(): void {
    for (const association of this.associations) {
      const { state, excused } = association.instance;
      if ((state === "alive" || state === "opening") && excused === undefined) continue;
      if (this.around.clock.nowMs() - association.heardAtMs >= TIMES.giveUpMs) association.close();
    }
  }

  protected received(received: Received): void {
    const { packet, chunks, source } = received;
    if (this.isDown || packet.destinationPort !== ENDPOINT_PORT) return;
    const first = chunks[0] as Chunk;
    const association = this.#associations.get(`${source}|${packet.sourcePort}`);
    if (first.type === CHUNK.INIT) this.#init(received, first);
    else if (first.type === CHUNK.COOKIE_ECHO) this.#cookieEcho(received, first);
    else if (association !== undefined) association.receive(received);
    else this.#outOfTheBlue(received);
  }

  #init(received: Received, chunk: Chunk): void {
    const { clock, random, ledger } = this.around;
    const init = parseInit(chunk);
    if (isMalformed(init)) {
      ledger.violate(`${this.name} received a malformed INIT`);
      return;
    }
    const { source, packet } = received;
    const listed = init.addresses.map((bytes) => addressFromBytes(bytes));
    // A member's health probe comes from its own address, or from a VIP and a port of its own.
    const way = packet.sourcePort - WAY_PORT_FIRST;
    const isProbe = networkOf(source) !== undefined || (way >= 0 && way < MEMBER_NUMBER_COUNT_MAX);
    if (!isProbe) {
      const service = SERVICES.find(({ vips }) => vips.includes(source));
      ledger.checkList(ledger.byTag(init.initiateTag), "endpoint", listed, service);
    }
    const known = this.#associations.get(`${source}|${packet.sourcePort}`);
    const cookie: Cookie = {
      peerTag: init.initiateTag,
      ownTag: 1 + random.below(0xffff_fffe),
      port: packet.sourcePort,
      addresses: listed.length > 0 ? listed : [source],
      atMs: clock.nowMs(),
      tieOwn: known?.localTag ?? 0,
      tiePeer: known?.remoteTag ?? 0,
    };
    const bytes = new TextEncoder().encode(JSON.stringify(cookie));
    this.#send(received.destination, source, packet.sourcePort, init.initiateTag, [
      encodeInitAck({
        initiateTag: cookie.ownTag,
        initialTsn: cookie.ownTag,
        parameters: [encodeParameter(PARAMETER.STATE_COOKIE, bytes)],
      }),
    ]);
  }

  #cookieEcho(received: Received, chunk: Chunk): void {
    const { clock, ledger } = this.around;
    const cookie = JSON.parse(new TextDecoder().decode(chunkValue(chunk))) as Cookie;
    const { source, packet, tag, chunks } = received;
    // RFC 9260 §5.1.5: the cookie is of this port and tag, and young.
    if (cookie.ownTag !== tag || cookie.port !== packet.sourcePort) return;
    const instance = ledger.byTag(cookie.peerTag);
    if (instance === undefined) {
      ledger.violate(`${this.name} received a cookie of nobody's INIT`);
      return;
    }
    const known = this.#associations.get(`${source}|${packet.sourcePort}`);
    if (known === undefined || known.localTag !== cookie.ownTag)
      if (clock.nowMs() - cookie.atMs > TIMES.cookieLifeMs) return;
    if (known !== undefined) {
      const sameOwn = known.localTag === cookie.ownTag;
      const samePeer = known.remoteTag === cookie.peerTag;
      if (sameOwn && samePeer) {
        // D: sent twice.
        this.#send(received.destination, source, packet.sourcePort, cookie.peerTag, [encodeCookieAck()]);
        this.#rest(known, received, chunks);
        return;
      }
      const tied = known.localTag === cookie.tieOwn && known.remoteTag === cookie.tiePeer;
      if (sameOwn || samePeer || !tied) return;
      if (known.state === "shutdownAckSent") {
        known.repeatShutdownAck(received);
        return;
      }
      this.#restarted(known.instance, instance);
      known.close();
    }
    const association = this.#establish(instance, cookie);
    this.#send(received.destination, source, packet.sourcePort, cookie.peerTag, [encodeCookieAck()]);
    this.#rest(association, received, chunks);
  }

  /** A: the other end has lost its memory; or two of them share a NAT port. */
  #restarted(before: Instance, now: Instance): void {
    this.restartCount++;
    if (before.client !== now.client || before.clientPort !== now.clientPort) {
      if (before.state === "alive" && before.excused === undefined)
        this.around.ledger.violate(
          `${nameOf(now)} was given NAT port ${before.natPort} at ${this.name}, which ${nameOf(before)} holds`,
        );
      return;
    }
    if (
      (before.state === "alive" || before.state === "opening") &&
      before !== now &&
      before.excused === undefined
    )
      this.around.ledger.violate(`${nameOf(before)} was restarted by ${nameOf(now)}, and its client lives`);
  }

  #establish(instance: Instance, cookie: Cookie): Association {
    const keys = cookie.addresses.map((address) => `${address}|${cookie.port}`);
    instance.endpoint = this.name;
    instance.natPort = cookie.port;
    const association = new Association(
      {
        instance,
        side: "endpoint",
        localPort: ENDPOINT_PORT,
        remotePort: cookie.port,
        localTag: cookie.ownTag,
        remoteTag: cookie.peerTag,
        destinations: cookie.addresses,
        sourceFor: () => this.address,
        localTsn: cookie.ownTag,
        remoteTsn: cookie.peerTag,
        send: (source, destination, tag, chunks) => this.#send(source, destination, cookie.port, tag, chunks),
        closed: () => {
          for (const key of keys)
            if (this.#associations.get(key) === association) this.#associations.delete(key);
        },
      },
      this.around,
    );
    for (const key of keys) this.#associations.set(key, association);
    return association;
  }

  /** What is bundled behind the cookie. */
  #rest(association: Association, received: Received, chunks: readonly Chunk[]): void {
    if (chunks.length > 1) association.receive({ ...received, chunks: chunks.slice(1) });
  }

  /** RFC 9260 §8.4. */
  #outOfTheBlue(received: Received): void {
    const types = received.chunks.map(({ type }) => type);
    if (types.includes(CHUNK.ABORT) || types.includes(CHUNK.SHUTDOWN_COMPLETE)) return;
    if (types[0] === CHUNK.INIT_ACK || types[0] === CHUNK.COOKIE_ACK) return;
    const answer = types.includes(CHUNK.SHUTDOWN_ACK)
      ? encodeShutdownComplete({ reflected: true })
      : encodeAbort({ reflected: true });
    this.#send(received.destination, received.source, received.packet.sourcePort, received.tag, [answer]);
  }

  #send(
    source: Address,
    destination: Address,
    port: number,
    tag: number,
    chunks: readonly Uint8Array[],
  ): void {
    this.send(source, destination, { source: ENDPOINT_PORT, destination: port }, tag, chunks);
  }
}
