// A laboratory of network namespaces on one machine: a switch with a bridge per network, and hosts on it.
//
// Names carry the process id of whoever made the lab, so that a later lab can remove what a killed one left
// behind.
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Attachment, Host } from "./host.ts";
import { ipBatch, runInside, runSync } from "./shell.ts";

const PREFIX = "hf";
const NAMESPACES = "/run/netns";
/** Marks files that a later lab must not sweep away. */
const KEPT = "kept";

export interface LabNetwork {
  readonly name: string;
  /** Bridge in the switch namespace. */
  readonly bridge: string;
  readonly mtu: number;
}

export interface Plug {
  readonly network: string;
  readonly addresses: readonly string[];
  /** The network that it is plugged into, when it is another one. */
  readonly cable?: string | undefined;
}

export interface LabOptions {
  /** Bytes; 1500 by default. A network may have its own. */
  readonly mtu?: number;
}

export class Lab {
  readonly id: string;
  /**
   * Files of this lab: configurations, captures, logs, stores. Removed with it unless HOLDFAST_KEEP_LAB is
   * set.
   */
  readonly directory: string;
  readonly networks = new Map<string, LabNetwork>();
  readonly hosts = new Map<string, Host>();
  readonly #mtu: number;
  #portCount = 0;
  #closed = false;
  readonly #endings: (() => void)[] = [];
  readonly #onExit = () => this.#removeNow();

  constructor(options: LabOptions = {}) {
    this.#mtu = options.mtu ?? 1500;
    removeStaleLabs();
    this.id = `${PREFIX}${process.pid}-${randomBytes(2).toString("hex")}`;
    this.directory = join(tmpdir(), `holdfast-lab-${this.id}`);
    mkdirSync(this.directory, { recursive: true });
    addNamespace(this.switchNamespace);
    process.on("exit", this.#onExit);
  }

  get switchNamespace(): string {
    return `${this.id}-sw`;
  }

  network(name: string, mtu = this.#mtu): LabNetwork {
    const bridge = `br-${name}`;
    ipBatch(this.switchNamespace, [
      `link add name ${bridge} mtu ${mtu} type bridge forward_delay 0 mcast_snooping 0`,
      `link set dev ${bridge} up`,
    ]);
    const network = { name, bridge, mtu };
    this.networks.set(name, network);
    return network;
  }

  /**
   * A host with one interface per network, named as the network: `{ "path-a": ["10.1.0.11/24"] }`. `cables`:
   * what the host calls a network may be plugged in somewhere else.
   */
  host(
    name: string,
    addresses: Readonly<Record<string, readonly string[]>>,
    cables: Readonly<Record<string, string>> = {},
  ): Host {
    const namespace = `${this.id}-${name}`;
    addNamespace(namespace);
    const host = new Host(this, name, namespace, addresses, cables);
    this.hosts.set(name, host);
    host.plug();
    return host;
  }

  /**
   * Interfaces in `namespace`, each called like its network and plugged into that network, or into its
   * `cable`. In as few processes as it takes: a cluster has dozens of them.
   */
  attach(namespace: string, plugs: readonly Plug[]): Attachment[] {
    if (plugs.length === 0) return [];
    const attachments = plugs.map(({ network, addresses, cable = network }) => {
      const { bridge, mtu } = this.#networkOf(cable);
      return { network, cable, port: `p${this.#portCount++}`, addresses, bridge, mtu };
    });
    ipBatch(
      "",
      attachments.map(
        ({ network, port, mtu }) =>
          `link add name ${network} netns ${namespace} mtu ${mtu} type veth peer name ${port} netns ${this.switchNamespace} mtu ${mtu}`,
      ),
    );
    ipBatch(
      this.switchNamespace,
      attachments.flatMap(({ port, bridge }) => [
        `link set dev ${port} master ${bridge}`,
        `link set dev ${port} up`,
      ]),
    );
    // GRO at the far end makes native XDP of the near end transmit; see "Kernels and interfaces" in
    // docs/operating.md.
    const each = 'for port; do ethtool -K "$port" gro on || exit; done';
    runInside(this.switchNamespace, "sh", ["-c", each, "sh", ...attachments.map(({ port }) => port)]);
    ipBatch(
      namespace,
      attachments.flatMap(({ network, addresses }) => [
        `link set dev ${network} up`,
        ...addresses.map((a) => `addr add ${a} dev ${network}${a.includes(":") ? " nodad" : ""}`),
      ]),
    );
    return attachments;
  }

  #networkOf(name: string): LabNetwork {
    const network = this.networks.get(name);
    if (network === undefined) throw new Error(`the lab has no network ${name}`);
    return network;
  }

  /** `ending` runs when the lab is removed, whatever removes it: it must not wait for anything. */
  onEnd(ending: () => void): void {
    this.#endings.push(ending);
  }

  /** Ends every process of the lab and removes its namespaces. */
  async close(): Promise<void> {
    if (this.#closed) return;
    for (const host of this.hosts.values()) host.killProcesses();
    await Promise.all([...this.hosts.values()].map((host) => host.processesEnded()));
    this.#removeNow();
  }

  #removeNow(): void {
    if (this.#closed) return;
    this.#closed = true;
    process.off("exit", this.#onExit);
    for (const host of this.hosts.values()) host.killProcesses();
    for (const ending of this.#endings) ending();
    removeNamespaces(this.id);
    if (process.env["HOLDFAST_KEEP_LAB"] === undefined)
      rmSync(this.directory, { recursive: true, force: true });
    else writeFileSync(join(this.directory, KEPT), "");
  }
}

function addNamespace(namespace: string): void {
  ipBatch("", [`netns add ${namespace}`]);
  const settings = [
    "net.ipv4.conf.all.rp_filter=0",
    "net.ipv4.conf.default.rp_filter=0",
    "net.ipv4.conf.all.arp_ignore=1",
    "net.ipv4.conf.all.arp_announce=2",
    "net.ipv4.ip_nonlocal_bind=1",
    "net.ipv6.conf.all.accept_dad=0",
    "net.ipv6.conf.default.accept_dad=0",
    "net.ipv6.conf.default.dad_transmits=0",
    "net.ipv6.conf.default.accept_ra=0",
    // Interfaces to come take the default, and one that says yes is enough.
    "net.ipv4.conf.all.accept_redirects=0",
    "net.ipv4.conf.default.accept_redirects=0",
    "net.ipv4.conf.all.send_redirects=0",
    "net.ipv4.conf.default.send_redirects=0",
  ];
  const both = 'ip link set lo up && exec sysctl -q -e -w "$@"';
  runInside(namespace, "sh", ["-c", both, "sh", ...settings]);
}

function removeNamespaces(labId: string): void {
  if (!existsSync(NAMESPACES)) return;
  const lines = readdirSync(NAMESPACES)
    .filter((name) => name.startsWith(`${labId}-`))
    .map((name) => `netns del ${name}`);
  try {
    ipBatch("", lines);
  } catch {
    for (const line of lines) {
      try {
        runSync("ip", line.split(" "));
      } catch {
        // gone already
      }
    }
  }
}

const LAB_NAME = /(hf(\d+)-[0-9a-f]{4})(?:-|$)/;
const BPFFS = "/sys/fs/bpf";

/** Removes what killed labs left behind: namespaces, pinned programs and maps, files. */
export function removeStaleLabs(): void {
  const labsIn = (directory: string) => (existsSync(directory) ? readdirSync(directory) : []);
  const isStale = (name: string): boolean => {
    const match = LAB_NAME.exec(name);
    return match !== null && !existsSync(`/proc/${match[2]}`);
  };
  const namespaces = labsIn(NAMESPACES).filter(isStale);
  for (const id of new Set(namespaces.map((name) => LAB_NAME.exec(name)?.[1] as string)))
    removeNamespaces(id);
  for (const name of labsIn(BPFFS).filter(isStale)) removeTree(join(BPFFS, name));
  for (const name of labsIn(tmpdir()).filter((n) => n.startsWith("holdfast-lab-") && isStale(n)))
    if (!existsSync(join(tmpdir(), name, KEPT))) removeTree(join(tmpdir(), name));
}

/** Two labs may sweep at once: what is gone already is fine. */
function removeTree(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {}
}
