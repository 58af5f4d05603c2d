// Which interfaces take what XDP redirects to them. Bridges, macvlans, tunnels and many more do not, and a packet that is
// redirected there is lost without a word: what would leave by one of them is left to the TC program.
import type { DeviceFeatures } from "../../netlink/device-features.ts";
import type { Link } from "../../netlink/messages.ts";

/** Interfaces whose answer is remembered; at one more everything is asked again. */
const REMEMBERED_COUNT_MAX = 65_536;

export interface TransmitOptions {
  /** Generic XDP hands packets to any device as everybody does. */
  readonly generic: boolean;
  /** undefined: a kernel before 6.3, which does not tell. */
  readonly devices: Pick<DeviceFeatures, "takesRedirected"> | undefined;
  /** Whether our own XDP program runs in the interface's driver. */
  readonly hasNativeXdp: (interfaceIndex: number) => boolean;
}

export class TransmitTable {
  /** Called with an interface whose answer is another now. */
  onChange: (interfaceIndex: number) => void = () => {};
  /** Called once with an interface that XDP cannot send to, when it is first asked about. */
  onRefused: (link: Link) => void = () => {};
  readonly #options: TransmitOptions;
  readonly #known = new Map<number, { readonly link: Link; readonly may: boolean }>();

  constructor(options: TransmitOptions) {
    this.#options = options;
  }

  may(link: Link): boolean {
    const known = this.#known.get(link.index);
    if (known !== undefined) return known.may;
    if (this.#known.size >= REMEMBERED_COUNT_MAX) this.#known.clear();
    const may = this.#ask(link);
    this.#known.set(link.index, { link, may });
    if (!may) this.onRefused(link);
    return may;
  }

  /** Asks again: about one interface, or all. A veth's answer follows what its other end is set to. */
  refresh(interfaceIndex?: number): void {
    const indexes = interfaceIndex === undefined ? [...this.#known.keys()] : [interfaceIndex];
    for (const index of indexes) {
      const known = this.#known.get(index);
      if (known === undefined) continue;
      const may = this.#ask(known.link);
      if (may === known.may) continue;
      this.#known.set(index, { link: known.link, may });
      this.onChange(index);
    }
  }

  /** Those that XDP cannot send to, of all that were asked about. */
  refused(): readonly Link[] {
    return [...this.#known.values()].filter(({ may }) => !may).map(({ link }) => link);
  }

  forget(interfaceIndex: number): void {
    this.#known.delete(interfaceIndex);
  }

  #ask(link: Link): boolean {
    const { generic, devices, hasNativeXdp } = this.#options;
    if (generic) return true;
    if (devices !== undefined) return devices.takesRedirected(link.index) ?? false;
    // Drivers that run XDP send for it, many only while a program is attached; of a veth nobody knows.
    return link.physical && hasNativeXdp(link.index);
  }
}
