// BGP neighbours that clients of LoxiLB's API post, beside the routers of the configuration file: this
// member's own, as with LoxiLB, and gone when it starts again.
import type { BfdConfiguration, RouterConfiguration, RouterStatus } from "@holdfast/announcer";
import type { Address, RankPolicy } from "@holdfast/model";
import { LoxilbError, Refusal } from "./reply.ts";

/** What the announcer does for it. */
export interface PostedRouting {
  /** Routers of the file. */
  own(): readonly RouterConfiguration[];
  readonly routerId: string;
  /** announcer.localAs of the file. */
  readonly localAs: number | undefined;
  /** Exactly these, beside the file's. */
  set(posted: readonly RouterConfiguration[]): void;
  /** All of them, as they are. */
  states(): readonly RouterStatus[];
}

export interface PostedNeighbour {
  readonly address: Address;
  readonly as: number;
  readonly port: number;
  readonly isMultihop: boolean;
}

const BGP_PORT = 179;
/** LoxiLB's setMultiHop has no number; GoBGP's is this. */
const MULTIHOP_TTL = 255;
const HOLD_S = 30;
const NEIGHBOUR_COUNT_MAX = 12;

export class PostedRouters {
  readonly #routing: PostedRouting;
  readonly #neighbours = new Map<string, PostedNeighbour>();
  readonly #bfd = new Map<string, BfdConfiguration>();
  readonly #ranks = new Map<string, readonly RankPolicy[]>();
  #localAs: number | undefined;

  constructor(routing: PostedRouting) {
    this.#routing = routing;
  }

  get localAs(): number | undefined {
    return this.#localAs ?? this.#routing.localAs;
  }

  get routerId(): string {
    return this.#routing.routerId;
  }

  states(): readonly RouterStatus[] {
    return this.#routing.states();
  }

  setGlobal(localAs: number, listenPort: number): void {
    if (listenPort !== 0 && listenPort !== BGP_PORT)
      throw new Refusal(`listenPort ${listenPort}: the speaker listens on ${BGP_PORT} only`);
    const { localAs: own } = this.#routing;
    if (own !== undefined && own !== localAs)
      throw new Refusal(`localAs ${localAs}: this member's AS is ${own} (announcer.localAs)`);
    if (this.#neighbours.size > 0 && this.localAs !== localAs)
      throw new Refusal(`localAs ${localAs}: neighbours use ${this.localAs}; delete them first`);
    this.#localAs = localAs;
  }

  add(neighbour: PostedNeighbour): void {
    const { address, as } = neighbour;
    const known = this.#ownAt(address);
    if (known !== undefined) {
      if (known.as === as) return;
      throw new LoxilbError(`neighbour ${address} exists with AS ${known.as}, in the configuration file`);
    }
    if (this.localAs === undefined)
      throw new Refusal("no AS of this member: post /config/bgp/global first, or set announcer.localAs");
    if (!this.#neighbours.has(address) && this.#neighbours.size >= NEIGHBOUR_COUNT_MAX)
      throw new LoxilbError("capacity insufficient");
    this.#neighbours.set(address, neighbour);
    this.#apply();
  }

  /** Gone already is what the client wants. */
  remove(address: string): void {
    const known = this.#ownAt(address);
    if (known !== undefined)
      throw new Refusal(`neighbour ${address} is router ${known.name} of the configuration file`);
    if (this.#neighbours.delete(address)) this.#apply();
  }

  /** Returns false when no neighbour has that address. */
  setBfd(address: string, bfd: BfdConfiguration | undefined): boolean {
    const known = this.#ownAt(address);
    if (known !== undefined) {
      if (JSON.stringify(known.bfd) !== JSON.stringify(bfd))
        throw new Refusal(`BFD with ${address} is router ${known.name}'s in the configuration file`);
      return true;
    }
    if (bfd === undefined) this.#bfd.delete(address);
    else this.#bfd.set(address, bfd);
    if (!this.#neighbours.has(address)) return false;
    this.#apply();
    return true;
  }

  /** An export policy, as ranks; undefined: the default ones. */
  setRanks(address: string, ranks: readonly RankPolicy[] | undefined): void {
    const known = this.#ownAt(address);
    if (known !== undefined)
      throw new Refusal(`what ${address} is told is router ${known.name}'s in the configuration file`);
    if (ranks === undefined) this.#ranks.delete(address);
    else this.#ranks.set(address, ranks);
    if (this.#neighbours.has(address)) this.#apply();
  }

  #ownAt(address: string): RouterConfiguration | undefined {
    return this.#routing.own().find((router) => router.address === address);
  }

  #apply(): void {
    const localAs = this.localAs as number;
    this.#routing.set(
      [...this.#neighbours.values()].map(({ address, as, port, isMultihop }) => {
        const [bfd, announce] = [this.#bfd.get(address), this.#ranks.get(address)];
        return {
          name: `loxilb-${address}`,
          ...{ address, as, localAs, holdS: HOLD_S },
          ...(port !== 0 && port !== BGP_PORT && { port }),
          ...(isMultihop && { multihop: MULTIHOP_TTL }),
          ...(bfd !== undefined && { bfd }),
          ...(announce !== undefined && { announce }),
          ...{ ttlSecurity: false, ipv6: false, extendedNextHop: false, passive: false },
        };
      }),
    );
  }
}
