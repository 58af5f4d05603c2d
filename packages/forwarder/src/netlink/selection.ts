// Which interfaces are meant: names, patterns (`eth*`), or every one that can carry clients and endpoints.
import type { Link } from "./messages.ts";

/** Devices that lead packets into a routing table of their own; their members stay what they are. */
export const KIND_VRF = "vrf";

/** A veth pair by which the host's own packets to VIPs come to the programs on its far end. */
export interface LoopInterfaces {
  /** VIPs are routed to it. */
  readonly near: string;
  /** The programs hang on it; what is sent out of it comes to the host's own stack. */
  readonly far: string;
}

export class InterfaceSelection {
  readonly #names: ReadonlySet<string>;
  readonly #patterns: readonly RegExp[];
  readonly #loop: LoopInterfaces | undefined;

  /**
   * `*` stands for any characters, `?` for one. Empty: every Ethernet interface that is up and on its own. Of
   * the loop the far end is always meant, the near one never.
   */
  constructor(wanted: readonly string[], loop?: LoopInterfaces) {
    this.#names = new Set(wanted.filter((name) => !isPattern(name)));
    this.#patterns = wanted.filter(isPattern).map(patternOf);
    this.#loop = loop;
  }

  /** Others may come later: that none is there now is no mistake. */
  get isOpen(): boolean {
    return this.#patterns.length > 0 || this.#names.size === 0;
  }

  /** By its own name, not by a pattern. */
  names(link: Link): boolean {
    return this.#names.has(link.name);
  }

  /**
   * By name; whether the interface can be used is another question. `attached`: it is in use, and may be
   * down.
   */
  wants(link: Link, linkOf: (index: number) => Link | undefined, attached = false): boolean {
    if (link.name === this.#loop?.near) return false;
    if (link.name === this.#loop?.far || this.#names.has(link.name)) return true;
    if (link.loopback) return false;
    // A bridge or bond has its members' packets, too.
    if (link.master !== undefined && linkOf(link.master)?.kind !== KIND_VRF) return false;
    if (this.#patterns.length > 0) return this.#patterns.some((pattern) => pattern.test(link.name));
    return this.#names.size === 0 && link.kind !== KIND_VRF && (link.up || attached);
  }

  /** Those wanted by name that are not there. */
  missing(links: readonly Link[]): string[] {
    return [...this.#names].filter((name) => !links.some((link) => link.name === name));
  }
}

export function isPattern(name: string): boolean {
  return /[*?]/.test(name);
}

/** Everything else in it stands for itself. */
export function patternOf(pattern: string): RegExp {
  const escaped = pattern
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".");
  return new RegExp(`^${escaped}$`);
}

/** Programs and rings read Ethernet frames. */
export function isEthernet(link: Link): boolean {
  return link.ethernet && link.mac.length === 6;
}
