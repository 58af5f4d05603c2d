// The interfaces of the userspace fast path, each with its rings: those that are there, and those that come
// and go.

import { HoldfastError, type Logger } from "@holdfast/model";
import { SystemCallError } from "../../kernel/libc.ts";
import type { Link } from "../../netlink/messages.ts";
import { Netlink, type NetlinkEvent } from "../../netlink/netlink.ts";
import { InterfaceSelection, isEthernet } from "../../netlink/selection.ts";
import { type InterfaceFacts, interfaceFacts } from "./interface.ts";
import { ReceiveRing } from "./receive-ring.ts";

export interface Port {
  readonly facts: InterfaceFacts;
  /** SCTP and all else but TCP and UDP first. */
  readonly rings: readonly ReceiveRing[];
}

export class Ports {
  /** Called with the rings to wait for; resolves when nobody waits for others any more. */
  onChange: (rings: readonly ReceiveRing[]) => Promise<void> = async () => {};
  readonly #interfaces: readonly string[];
  readonly #selection: InterfaceSelection;
  readonly #log: Logger;
  readonly #links = new Map<number, Link>();
  readonly #ports: Port[] = [];
  #filter: readonly Uint8Array[] | undefined;

  /** Names and patterns; empty: every usable one. */
  constructor(interfaces: readonly string[], log: Logger) {
    this.#interfaces = interfaces;
    this.#selection = new InterfaceSelection(interfaces);
    this.#log = log;
  }

  /** Throws USERSPACE_SOCKET_FAILED, INTERFACE_NOT_ETHERNET. */
  open(): void {
    const netlink = new Netlink();
    try {
      for (const link of netlink.links()) this.#links.set(link.index, link);
    } finally {
      netlink.close();
    }
    const links = [...this.#links.values()];
    const wanted = links.filter((link) => this.#isWanted(link, false));
    for (const { name, kind } of wanted.filter((link) => !isEthernet(link)))
      this.#log.warn({ interface: name, kind }, "this interface carries no Ethernet frames: it is left out");
    const usable = wanted.filter(isEthernet);
    if (usable.length === 0 && wanted.length > 0 && !this.#selection.isOpen)
      throw new HoldfastError("INTERFACE_NOT_ETHERNET", { interface: this.#interfaces.join(", ") });
    // Opening what is missing fails with the reason.
    for (const name of [...usable.map((link) => link.name), ...this.#selection.missing(links)])
      this.#ports.push(openPort(name));
  }

  get list(): readonly Port[] {
    return this.#ports;
  }

  rings(): readonly ReceiveRing[] {
    return this.#ports.flatMap(({ rings }) => rings);
  }

  /** Only packets for these addresses are taken. */
  setFilter(addresses: readonly Uint8Array[]): void {
    this.#filter = addresses;
    for (const ring of this.rings()) ring.setFilter(addresses);
  }

  handle(event: NetlinkEvent): void {
    if (event.kind === "link") this.#linkChanged(event.link, event.removed);
    else if (event.kind === "overrun") this.#readLinks();
  }

  close(): void {
    for (const ring of this.rings()) ring.close();
    this.#ports.length = 0;
  }

  #isWanted(link: Link, attached: boolean): boolean {
    return this.#selection.wants(link, (index) => this.#links.get(index), attached);
  }

  #linkChanged(link: Link, removed: boolean): void {
    if (removed) this.#links.delete(link.index);
    else this.#links.set(link.index, link);
    const at = this.#ports.findIndex(({ facts }) => facts.index === link.index);
    const wanted = !removed && isEthernet(link) && this.#isWanted(link, at >= 0);
    if (wanted === at >= 0) return;
    if (wanted) this.#add(link);
    else this.#remove(at, link);
  }

  #add(link: Link): void {
    try {
      const port = openPort(link.name);
      if (this.#filter !== undefined) for (const ring of port.rings) ring.setFilter(this.#filter);
      this.#ports.push(port);
      void this.onChange(this.rings());
      this.#log.info({ interface: link.name }, "interface came up: fast path attached");
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      this.#log.error({ interface: link.name, reason: error.message }, "interface cannot be used");
    }
  }

  #remove(at: number, link: Link): void {
    const [port] = this.#ports.splice(at, 1);
    // Not before nobody waits for it.
    void this.onChange(this.rings()).then(() => {
      for (const ring of port?.rings ?? []) ring.close();
    });
    this.#log.info({ interface: link.name }, "interface has gone: fast path detached");
  }

  /** Events were lost. */
  #readLinks(): void {
    const netlink = new Netlink();
    try {
      const links = netlink.links();
      const present = new Set(links.map(({ index }) => index));
      for (const link of [...this.#links.values()])
        if (!present.has(link.index)) this.#linkChanged(link, true);
      for (const link of links) this.#linkChanged(link, false);
    } finally {
      netlink.close();
    }
  }
}

function openPort(name: string): Port {
  const rings: ReceiveRing[] = [];
  try {
    const facts = interfaceFacts(name);
    for (const share of ["others", "plain"] as const) rings.push(new ReceiveRing(facts.index, share));
    return { facts, rings };
  } catch (error) {
    for (const ring of rings) ring.close();
    if (!(error instanceof SystemCallError)) throw error;
    throw new HoldfastError(
      "USERSPACE_SOCKET_FAILED",
      { interface: name, reason: error.message },
      { cause: error },
    );
  }
}
