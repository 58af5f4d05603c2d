// A host of the lab: a network namespace, its interfaces, its processes.
import type { ChildProcess, SpawnOptions } from "node:child_process";
import { type Address, parseAddress } from "@holdfast/model";
import type { Lab } from "./lab.ts";
import { ipBatch, runInside, spawnInside } from "./shell.ts";

export interface Attachment {
  readonly network: string;
  /** The network that it is plugged into. */
  readonly cable: string;
  /** The switch's end of the cable. */
  readonly port: string;
  readonly addresses: readonly string[];
}

export class Host {
  readonly name: string;
  readonly namespace: string;
  readonly #lab: Lab;
  readonly #addresses: Readonly<Record<string, readonly string[]>>;
  readonly #cables: Readonly<Record<string, string>>;
  #attachments = new Map<string, Attachment>();
  readonly #processes = new Set<ChildProcess>();
  readonly #routes: string[] = [];

  constructor(
    lab: Lab,
    name: string,
    namespace: string,
    addresses: Readonly<Record<string, readonly string[]>>,
    cables: Readonly<Record<string, string>> = {},
  ) {
    this.#lab = lab;
    this.name = name;
    this.namespace = namespace;
    this.#addresses = addresses;
    this.#cables = cables;
  }

  /** Every cable in (again); routes that were added come back. */
  plug(): void {
    const plugs = Object.entries(this.#addresses)
      .filter(([network]) => !this.#attachments.has(network))
      .map(([network, addresses]) => ({ network, addresses, cable: this.#cables[network] }));
    for (const attachment of this.#lab.attach(this.namespace, plugs))
      this.#attachments.set(attachment.network, attachment);
    ipBatch(this.namespace, this.#routes);
  }

  /** The whole node dies, as far as the network can tell: all its interfaces vanish. */
  unplug(): void {
    ipBatch(
      this.#lab.switchNamespace,
      [...this.#attachments.values()].map((attachment) => `link del dev ${attachment.port}`),
    );
    this.#attachments = new Map();
  }

  /** Addresses on a network, without prefix length. */
  addresses(network: string): readonly Address[] {
    return (this.#addresses[network] ?? []).map((address) => parseAddress(address.split("/")[0] as string));
  }

  /** Hardware address of the interface on a network. */
  mac(network: string): string {
    const [link] = JSON.parse(runInside(this.namespace, "ip", ["-j", "link", "show", "dev", network])) as {
      address: string;
    }[];
    if (link === undefined) throw new Error(`${this.name} is not on ${network}`);
    return link.address;
  }

  /** On-link routes: each of `to` (VIPs) is looked for with ARP or NDP on `network`. */
  onLink(to: string | readonly string[], network: string): void {
    const all = typeof to === "string" ? [to] : to;
    this.ip(...all.map((each) => `route replace ${each}/${each.includes(":") ? 128 : 32} dev ${network}`));
  }

  /** Any other `ip` commands inside the host, kept over an unplug. */
  ip(...lines: string[]): void {
    this.#routes.push(...lines);
    ipBatch(this.namespace, lines);
  }

  /** `carrier`: the cable's far end goes down, the host sees it. `silent`: the switch forgets the port. */
  cut(network: string, kind: "carrier" | "silent" = "silent"): void {
    const { port } = this.#attachment(network);
    ipBatch(this.#lab.switchNamespace, [
      kind === "silent" ? `link set dev ${port} nomaster` : `link set dev ${port} down`,
    ]);
  }

  heal(network: string): void {
    const { port, cable } = this.#attachment(network);
    const bridge = this.#lab.networks.get(cable)?.bridge;
    ipBatch(this.#lab.switchNamespace, [`link set dev ${port} master ${bridge}`, `link set dev ${port} up`]);
  }

  #attachment(network: string): Attachment {
    const attachment = this.#attachments.get(network);
    if (attachment === undefined) throw new Error(`${this.name} is not on ${network}`);
    return attachment;
  }

  run(command: string, args: readonly string[], input?: string): string {
    return runInside(this.namespace, command, args, input);
  }

  spawn(command: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const child = spawnInside(this.namespace, command, args, options);
    this.#processes.add(child);
    child.once("exit", () => this.#processes.delete(child));
    return child;
  }

  /** Runs when the lab is removed; see `Lab.onEnd`. */
  onEnd(ending: () => void): void {
    this.#lab.onEnd(ending);
  }

  killProcesses(): void {
    for (const child of this.#processes) child.kill("SIGKILL");
  }

  async processesEnded(): Promise<void> {
    await Promise.all(
      [...this.#processes].map((child) =>
        child.exitCode !== null || child.signalCode !== null
          ? undefined
          : new Promise<void>((resolve) => child.once("exit", () => resolve())),
      ),
    );
  }
}
