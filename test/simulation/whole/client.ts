// A client: one association at a time, from one to three addresses, always from the same port.
import { type Address, addressBytes, addressFromBytes, type Service, type Timer } from "@holdfast/model";
import {
  CHUNK,
  type Chunk,
  encodeAbort,
  encodeAddress,
  encodeCookieEcho,
  encodeInit,
  encodeShutdownComplete,
  isMalformed,
  parseInit,
  T_BIT,
} from "@holdfast/sctp";
import { Association } from "./association.ts";
import { Host, type Received, type Surroundings } from "./host.ts";
import { type Instance, nameOf } from "./ledger.ts";
import { networkOf, SERVICE_PORT, TIMES } from "./world.ts";

/** From which of its addresses a client sends to a VIP: of the VIP's place in the list, always the first, any. */
export type SourcePolicy = "paired" | "first" | "any";

/** COOKIE-ECHOs without an answer after which the client begins anew. */
const COOKIE_TRIES_MAX = 10;

interface Opening {
  readonly instance: Instance;
  readonly tag: number;
  readonly service: Service;
  tries: number;
  /** Set by the INIT-ACK. */
  chosen:
    | {
        readonly tag: number;
        readonly tsn: number;
        readonly cookie: Uint8Array;
        readonly vips: readonly Address[];
      }
    | undefined;
  timer: Timer | undefined;
  vip: number;
}

export interface ClientOptions {
  readonly name: string;
  readonly addresses: readonly Address[];
  /** Listed, too, and leading nowhere: Docker's bridge, another network's. */
  readonly nowhere: readonly Address[];
  readonly port: number;
  readonly sources: SourcePolicy;
  /** It was told all VIPs and tries them in turn (sctp_connectx); else the primary alone. */
  readonly knowsAll: boolean;
}

export class Client extends Host {
  readonly options: ClientOptions;
  /** Nothing of it is there any more. */
  isGone = false;
  #opening: Opening | undefined;
  #association: Association | undefined;

  constructor(options: ClientOptions, around: Surroundings) {
    super(options.name, options.addresses, around);
    this.options = options;
  }

  get isFree(): boolean {
    return this.#opening === undefined && this.#association === undefined;
  }

  get association(): Association | undefined {
    return this.#association;
  }

  get instance(): Instance | undefined {
    return this.#association?.instance ?? this.#opening?.instance;
  }

  /** `both`: the first INIT goes to two VIPs at once, from two addresses when it has them. */
  open(service: Service, vip: number, both = false): Instance {
    this.isGone = false;
    const { clock, random, ledger } = this.around;
    let tag = random.uint32();
    while (tag === 0 || ledger.byTag(tag) !== undefined) tag = random.uint32();
    const instance = ledger.begin(this.name, this.options.port, service, tag);
    const opening: Opening = {
      instance,
      tag,
      service,
      tries: 0,
      chosen: undefined,
      timer: undefined,
      vip: vip % service.vips.length,
    };
    this.#opening = opening;
    this.#init(opening);
    if (both && service.vips.length > 1)
      clock.after(0.05, () => {
        if (this.#opening === opening && opening.chosen === undefined)
          this.#sendInit(opening, (opening.vip + 1) % service.vips.length, this.options.addresses.length - 1);
      });
    return instance;
  }

  /** The process ends without a word, and its successor connects again from the same port. */
  restart(): Instance | undefined {
    const service = this.instance?.service;
    if (service === undefined) return undefined;
    this.#forget("over");
    return this.open(service, this.around.random.below(service.vips.length));
  }

  /** Gone without a word. */
  vanish(): void {
    this.#forget("over");
    this.isGone = true;
  }

  shutdown(): void {
    const association = this.#association;
    if (association === undefined || association.instance.state !== "alive") return;
    association.instance.state = "closing";
    association.shutdown();
  }

  abort(): void {
    const association = this.#association;
    if (association === undefined || association.instance.state !== "alive") return;
    association.instance.state = "over";
    association.abort();
  }

  /** Closing for so long that nobody will answer, or excused and silent: no real stack would wait longer. */
  giveUp(): void {
    const { clock } = this.around;
    const association = this.#association;
    if (association === undefined) return;
    const { state, excused, endpointLost } = association.instance;
    if (state === "alive" && excused === undefined && !endpointLost) return;
    if (clock.nowMs() - association.heardAtMs < TIMES.giveUpMs) return;
    association.instance.state = "over";
    association.close();
  }

  #forget(state: "over"): void {
    const instance = this.instance;
    if (instance !== undefined) instance.state = state;
    this.#opening?.timer?.cancel();
    this.#opening = undefined;
    this.#association?.close();
    this.#association = undefined;
  }

  // -------------------------------------------------------------------------------------------------------------

  #init(opening: Opening): void {
    const { clock } = this.around;
    const vip = this.options.knowsAll
      ? (opening.vip + opening.tries) % opening.service.vips.length
      : opening.vip;
    this.#sendInit(opening, vip, opening.tries);
    opening.tries++;
    const delayMs = Math.min(TIMES.retransmitMs * 2 ** (opening.tries - 1), TIMES.retransmitMaxMs);
    opening.timer = clock.after(delayMs, () => this.#init(opening));
  }

  #sendInit(opening: Opening, vip: number, sourceIndex: number): void {
    const { addresses, nowhere } = this.options;
    const source = addresses[sourceIndex % addresses.length] as Address;
    const all = [...nowhere, ...addresses];
    const parameters = all.length > 1 ? all.map((a) => encodeAddress(addressBytes(a))) : [];
    this.#send(source, opening.service.vips[vip] as Address, 0, [
      encodeInit({ initiateTag: opening.tag, initialTsn: opening.tag, parameters }),
    ]);
  }

  #cookieEcho(opening: Opening): void {
    const { chosen } = opening;
    if (chosen === undefined) return;
    if (opening.tries >= COOKIE_TRIES_MAX) {
      // It begins anew, as its user would.
      this.around.ledger.failed(opening.instance);
      this.#opening = undefined;
      this.open(opening.service, opening.vip + 1);
      return;
    }
    const vip = chosen.vips[opening.tries % chosen.vips.length] as Address;
    this.#send(this.#sourceFor(vip, chosen.vips), vip, chosen.tag, [encodeCookieEcho(chosen.cookie)]);
    opening.tries++;
    const delayMs = Math.min(TIMES.retransmitMs * 2 ** (opening.tries - 1), TIMES.retransmitMaxMs);
    opening.timer = this.around.clock.after(delayMs, () => this.#cookieEcho(opening));
  }

  protected received(received: Received): void {
    if (this.isGone) return;
    const { packet, chunks } = received;
    if (packet.destinationPort !== this.options.port) return;
    const service = this.instance?.service;
    if (service !== undefined && !service.vips.includes(received.source)) {
      // An earlier association's, to another service.
      return;
    }
    const association = this.#association;
    if (association !== undefined) {
      if (chunks[0]?.type !== CHUNK.INIT_ACK && chunks[0]?.type !== CHUNK.COOKIE_ACK)
        association.receive(received);
      return;
    }
    const opening = this.#opening;
    if (opening === undefined) this.#outOfTheBlue(received);
    else this.#handshake(opening, received);
  }

  #handshake(opening: Opening, received: Received): void {
    const { tag, chunks } = received;
    const first = chunks[0] as Chunk;
    if (first.type === CHUNK.ABORT) {
      const reflected = (first.flags & T_BIT) !== 0;
      if (tag !== (reflected ? opening.chosen?.tag : opening.tag)) return;
      this.around.ledger.told(opening.instance, "client", "ABORT during its handshake");
      opening.timer?.cancel();
      this.#opening = undefined;
      return;
    }
    if (tag !== opening.tag) return;
    if (first.type === CHUNK.INIT_ACK) {
      if (opening.chosen !== undefined) return;
      const init = parseInit(first);
      if (isMalformed(init) || init.stateCookie === undefined) {
        this.around.ledger.violate(`${nameOf(opening.instance)} was given a malformed INIT-ACK`);
        return;
      }
      const listed = init.addresses.map((bytes) => addressFromBytes(bytes));
      this.around.ledger.checkList(opening.instance, "client", listed, opening.service);
      opening.chosen = {
        tag: init.initiateTag,
        tsn: init.initialTsn,
        cookie: init.stateCookie.slice(),
        vips: listed.length > 0 ? listed : [received.source],
      };
      opening.instance.endpointTag = init.initiateTag;
      opening.timer?.cancel();
      opening.tries = 0;
      this.#cookieEcho(opening);
      return;
    }
    const { chosen } = opening;
    if (first.type !== CHUNK.COOKIE_ACK || chosen === undefined) return;
    opening.timer?.cancel();
    this.#opening = undefined;
    const { instance } = opening;
    if (instance.state === "opening") instance.state = "alive";
    instance.aliveSinceMs = this.around.clock.nowMs();
    const association = new Association(
      {
        instance,
        side: "client",
        localPort: this.options.port,
        remotePort: SERVICE_PORT,
        localTag: opening.tag,
        remoteTag: chosen.tag,
        destinations: chosen.vips,
        sourceFor: (vip) => this.#sourceFor(vip, chosen.vips),
        localTsn: opening.tag,
        remoteTsn: chosen.tsn,
        send: (source, destination, tag, chunkBytes) => this.#send(source, destination, tag, chunkBytes),
        closed: () => {
          if (this.#association === association) this.#association = undefined;
        },
      },
      this.around,
    );
    this.#association = association;
    if (chunks.length > 1) association.receive({ ...received, chunks: chunks.slice(1) });
  }

  /** RFC 9260 §8.4. */
  #outOfTheBlue(received: Received): void {
    const types = received.chunks.map(({ type }) => type);
    if (types.includes(CHUNK.ABORT) || types.includes(CHUNK.SHUTDOWN_COMPLETE)) return;
    if (types[0] === CHUNK.INIT_ACK || types[0] === CHUNK.COOKIE_ACK || types[0] === CHUNK.INIT) return;
    const answer = types.includes(CHUNK.SHUTDOWN_ACK)
      ? encodeShutdownComplete({ reflected: true })
      : encodeAbort({ reflected: true });
    this.#send(received.destination, received.source, received.tag, [answer]);
  }

  #sourceFor(vip: Address, vips: readonly Address[]): Address {
    const { addresses, sources } = this.options;
    const index =
      sources === "first"
        ? 0
        : sources === "paired"
          ? vips.indexOf(vip) % addresses.length
          : this.around.random.below(addresses.length);
    return addresses[Math.max(0, index)] as Address;
  }

  #send(source: Address, destination: Address, tag: number, chunks: readonly Uint8Array[]): void {
    if (networkOf(source) === undefined) return;
    this.send(source, destination, { source: this.options.port, destination: SERVICE_PORT }, tag, chunks);
  }
}
