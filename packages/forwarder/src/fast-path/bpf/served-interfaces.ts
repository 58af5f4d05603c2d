// The interfaces that the programs hang on: those that are there at the start, and those that come and go.
import { HoldfastError, type Logger } from "@holdfast/model";
import { DeviceFeatures } from "../../netlink/device-features.ts";
import type { Link } from "../../netlink/messages.ts";
import type { Netlink, NetlinkEvent } from "../../netlink/netlink.ts";
import { InterfaceSelection, isEthernet, type LoopInterfaces } from "../../netlink/selection.ts";
import type { Fallback, FastPathInterface, FastPathMode, ViaTc } from "../port.ts";
import { INTERFACE_FLAG } from "./abi.ts";
import { receiveAllMulticast } from "./all-multicast.ts";
import { Crossings, egressProgramCount, type HandOver } from "./crossings.ts";
import type { DataPlane } from "./data-plane.ts";
import { InterfaceSlots } from "./interfaces.ts";
import { Attachments } from "./links.ts";
import { TransmitTable } from "./transmit.ts";

export interface ServedInterfacesOptions {
  readonly mode: "auto" | "xdp" | "xdp-generic" | "tc";
  /** Names and patterns; empty: every one that is usable. */
  readonly interfaces: readonly string[];
  readonly loop?: LoopInterfaces | undefined;
  readonly handOver?: HandOver;
  readonly plane: DataPlane;
  readonly netlink: Netlink;
  readonly log: Logger;
}

export class ServedInterfaces {
  /** Called with an interface to which XDP may send now, or may not any more; or which packets may cross. */
  onWaysChanged: (interfaceIndex: number) => void = () => {};
  readonly #options: ServedInterfacesOptions;
  readonly #attachments: Attachments;
  readonly #slots: InterfaceSlots;
  readonly #selection: InterfaceSelection;
  readonly #devices: DeviceFeatures | undefined;
  readonly #transmit: TransmitTable;
  readonly #crossings: Crossings;
  readonly #links = new Map<number, Link>();
  readonly #served = new Map<number, Link>();
  /** Left out, so that it is said once. */
  readonly #leftOut = new Set<number>();
  readonly #hidden = new Map<number, number>();
  #stopMulticast: () => void = () => {};
  /** From now on nothing is thrown. */
  #opened = false;

  constructor(options: ServedInterfacesOptions) {
    const { plane, log, mode } = options;
    this.#options = options;
    this.#attachments = new Attachments(plane, log);
    this.#slots = new InterfaceSlots(plane.maps.hf_interfaces);
    this.#selection = new InterfaceSelection(options.interfaces, options.loop);
    this.#devices = mode === "tc" ? undefined : DeviceFeatures.open();
    this.#transmit = new TransmitTable({
      generic: mode === "xdp-generic",
      devices: this.#devices,
      hasNativeXdp: (index) => this.#attachments.hooksOf(index).includes("xdp"),
    });
    this.#crossings = new Crossings({
      handOver: options.handOver ?? "none",
      disciplines: () => options.netlink.disciplines(),
      egressProgramCount,
    });
    this.#crossings.onChange = (index) => this.onWaysChanged(index);
    this.#crossings.onAnswer = ({ name }, isCrossed) =>
      log.info(
        { interface: name },
        isCrossed
          ? "what leaves by this veth by TC is handed to its other end: captures and counters here do not see it"
          : "what leaves by this veth goes through it: a queueing discipline or an egress program waits for it",
      );
    this.#transmit.onChange = (index) => this.#transmitChanged(index);
    this.#transmit.onRefused = ({ name, kind }) => {
      if (this.mode !== "tc")
        log.info({ interface: name, kind }, "XDP cannot send to this interface: TC does it instead");
    };
  }

  /**
   * Attaches to all that are there. Throws INTERFACE_MISSING, INTERFACE_NOT_ETHERNET, INTERFACE_INDEX_CLASH,
   * BPF_ATTACH_FAILED, BPF_XDP_UNAVAILABLE; what a pattern found and cannot be used is left out.
   */
  open(): void {
    const { netlink, interfaces, mode, plane } = this.#options;
    const links = netlink.links();
    for (const link of links) this.#links.set(link.index, link);
    // Hardware may be served later, and verifying holds this thread up: now nobody waits for it.
    if (mode === "auto" && links.some(({ physical }) => physical)) plane.loadXdp();
    const [missing] = this.#selection.missing(links);
    if (missing !== undefined) throw new HoldfastError("INTERFACE_MISSING", { interface: missing });
    for (const link of links) if (this.#isWanted(link)) this.#attach(link);
    if (this.#served.size === 0 && !this.#selection.isOpen)
      throw new HoldfastError("INTERFACE_NOT_ETHERNET", { interface: interfaces.join(", ") });
    this.#attachments.removeOthers();
    if (mode === "xdp" && !this.#attachments.hooks.has("xdp")) {
      throw new HoldfastError("BPF_XDP_UNAVAILABLE", { interfaces: interfaces.join(", ") });
    }
    this.#opened = true;
    this.#receiveMulticast();
    this.#devices?.follow((index) => this.#transmit.refresh(index));
  }

  get mode(): FastPathMode {
    const { hooks } = this.#attachments;
    return hooks.has("xdp") ? "xdp" : hooks.has("xdp-generic") ? "xdp-generic" : "tc";
  }

  /** XDP was wanted on hardware, and the kernel refuses the program. */
  get fallback(): Fallback | undefined {
    const { mode, plane } = this.#options;
    const wanted = mode === "auto" && [...this.#served.values()].some(({ physical }) => physical);
    if (!wanted || plane.xdpRefused === undefined) return undefined;
    return { code: "BPF_LOAD_FAILED", reason: plane.xdpRefused };
  }

  list(): readonly FastPathInterface[] {
    const xdp = this.mode !== "tc";
    // Anew: what was told with events has old counters.
    const now = new Map(this.#options.netlink.links().map((link) => [link.index, link]));
    return [...this.#served.values()].map((link): FastPathInterface => {
      const hidden = this.#hidden.get(link.index) ?? 0;
      return {
        name: link.name,
        index: link.index,
        hooks: this.#attachments.hooksOf(link.index),
        receiveDrops: now.get(link.index)?.receiveDrops ?? 0,
        transmitDrops: now.get(link.index)?.transmitDrops ?? 0,
        ...(xdp && { takesRedirected: this.#transmit.may(link) }),
        ...(hidden > 0 && { programsBefore: hidden }),
      };
    });
  }

  viaTc(): readonly ViaTc[] {
    const from = [...this.#served.values()].filter(({ index }) =>
      this.#attachments.hooksOf(index).some((hook) => hook.startsWith("xdp")),
    );
    if (from.length === 0) return [];
    return this.#transmit.refused().flatMap((to) => from.map((each) => ({ from: each.name, to: to.name })));
  }

  /** Whether XDP may send to the interface. */
  mayTransmit(link: Link): boolean {
    return this.#options.mode !== "tc" && this.#transmit.may(link);
  }

  /** Whether packets may be handed to the interface's other end (crossings.ts). */
  mayCross(link: Link): boolean {
    return this.#crossings.may(link);
  }

  handle(event: NetlinkEvent): void {
    if (event.kind === "link") this.#linkChanged(event.link, event.removed);
    else if (event.kind === "overrun") this.#readAgain();
  }

  /** Looks whether all is as it was left. Call every few seconds. */
  check(): void {
    this.#transmit.refresh();
    this.#crossings.refresh();
    for (const link of this.#served.values()) {
      const before = this.#attachments.programsBefore(link.index);
      if (before === (this.#hidden.get(link.index) ?? 0)) continue;
      this.#hidden.set(link.index, before);
      const facts = { interface: link.name, programs: before };
      if (before === 0) this.#options.log.info(facts, "no other program sees packets before the fast path");
      else
        this.#options.log.warn(
          facts,
          "another TC program was put before the fast path: what it takes or passes on is not seen here",
        );
    }
  }

  /** `installed`: programs stay where they are pinned. */
  close(installed: boolean): void {
    this.#stopMulticast();
    this.#devices?.close();
    if (installed) this.#attachments.close();
    else this.#attachments.uninstall();
  }

  #isWanted(link: Link): boolean {
    const linkOf = (index: number) => this.#links.get(index);
    return this.#selection.wants(link, linkOf, this.#served.has(link.index));
  }

  /** Throws where the interface was asked for by its name; else says why it is left out. */
  #attach(link: Link): boolean {
    const { log, mode } = this.#options;
    if (!isEthernet(link)) {
      if (!this.#leftOut.has(link.index)) {
        const facts = { interface: link.name, kind: link.kind };
        log.warn(facts, "this interface carries no Ethernet frames: it is left out");
      }
      this.#leftOut.add(link.index);
      return false;
    }
    try {
      this.#slots.take(link);
      // TC is always there: behind XDP, for what XDP cannot do.
      this.#attachments.attachTc(link);
    } catch (error) {
      this.#slots.leave(link.index);
      this.#attachments.detach(link.index);
      if (!(error instanceof HoldfastError)) throw error;
      if (this.#selection.names(link) && !this.#opened) throw error;
      if (!this.#leftOut.has(link.index))
        log.error(
          { interface: link.name, code: error.code, reason: error.message },
          "interface cannot be used: it is left out",
        );
      this.#leftOut.add(link.index);
      return false;
    }
    if (mode === "xdp" || (mode === "auto" && link.physical)) this.#attachments.attachXdp(link, false);
    else if (mode === "xdp-generic") this.#attachments.attachXdp(link, true);
    this.#served.set(link.index, link);
    this.#leftOut.delete(link.index);
    this.#writeSlot(link);
    return true;
  }

  #detach(link: Link, reason: string): void {
    this.#attachments.detach(link.index);
    this.#slots.leave(link.index);
    this.#transmit.forget(link.index);
    this.#served.delete(link.index);
    this.#hidden.delete(link.index);
    this.#receiveMulticast();
    this.#options.log.info({ interface: link.name, index: link.index }, reason);
  }

  #linkChanged(link: Link, removed: boolean): void {
    const served = this.#served.get(link.index);
    if (removed) {
      this.#links.delete(link.index);
      this.#leftOut.delete(link.index);
      this.#transmit.forget(link.index);
      this.#crossings.forget(link.index);
      if (served !== undefined) this.#detach(served, "interface has gone: fast path detached");
      return;
    }
    this.#links.set(link.index, link);
    const wanted = this.#isWanted(link);
    if (served === undefined) {
      if (!wanted || !this.#attach(link)) return;
      this.#receiveMulticast();
      this.#options.log.info(
        { interface: link.name, index: link.index },
        "interface came up: fast path attached",
      );
    } else if (!wanted) {
      this.#detach(served, "interface is not ours any more: fast path detached");
    } else {
      this.#served.set(link.index, link);
      if (isEthernet(link) && !Buffer.from(served.mac).equals(link.mac)) this.#writeSlot(link);
    }
  }

  /** Events were lost. */
  #readAgain(): void {
    const links = this.#options.netlink.links();
    const present = new Set(links.map(({ index }) => index));
    for (const link of [...this.#links.values()]) if (!present.has(link.index)) this.#linkChanged(link, true);
    for (const link of links) this.#linkChanged(link, false);
    this.#transmit.refresh();
  }

  #transmitChanged(interfaceIndex: number): void {
    const link = this.#links.get(interfaceIndex);
    const served = this.#served.get(interfaceIndex);
    if (served !== undefined) this.#writeSlot(served);
    if (link !== undefined) {
      const may = this.#transmit.may(link);
      this.#options.log.info(
        { interface: link.name },
        may
          ? "XDP can send to this interface now"
          : "XDP cannot send to this interface any more: TC does for it",
      );
    }
    this.onWaysChanged(interfaceIndex);
  }

  #receiveMulticast(): void {
    this.#stopMulticast();
    this.#stopMulticast = receiveAllMulticast([...this.#served.keys()]);
  }

  #writeSlot(link: Link): void {
    this.#slots.write(link, this.mayTransmit(link) ? INTERFACE_FLAG.XDP : 0);
  }
}
