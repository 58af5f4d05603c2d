// Attaching: XDP and tcx links, pinned so that they outlive the daemon; clsact where there is no tcx.
import { basename, join } from "node:path";
import { HoldfastError, type Logger } from "@holdfast/model";
import type { Link } from "../../netlink/messages.ts";
import { pinnedNames, preparePinDirectory, unpin } from "./bpffs.ts";
import type { DataPlane } from "./data-plane.ts";
import { ERRNO, errnoName, libbpf, libc, options } from "./native.ts";

/** How a program hangs on an interface. */
export type Hook = "xdp" | "xdp-generic" | "tcx" | "clsact";

const BPF_XDP = 37;
const BPF_TCX_INGRESS = 46;
const XDP_FLAGS_SKB_MODE = 2;
const XDP_FLAGS_DRV_MODE = 4;
const LINK_CREATE_OPTIONS_SIZE = 64;
const LINK_CREATE_FLAGS_OFFSET = 8;
/** As the kernel has it. */
const TCX_PROGRAM_COUNT_MAX = 64;
const LINK_INFO_SIZE = 128;
const LINK_INFO_IFINDEX_OFFSET = 16;

const TC_HOOK_SIZE = 24;
const TC_OPTIONS_SIZE = 32;
const BPF_TC_INGRESS = 1;
const BPF_TC_F_REPLACE = 1;
/** Where our filter stands among a clsact's; the same at every start, so that it is replaced and found again. */
const TC_HANDLE = 1;
const TC_PRIORITY = 0x4846;

interface Attached {
  readonly hook: Hook;
  readonly interfaceIndex: number;
  /** Of the link; -1 with clsact. */
  readonly fd: number;
  readonly pin: string | undefined;
}

export class Attachments {
  readonly #plane: DataPlane;
  readonly #directory: string | undefined;
  readonly #log: Logger;
  readonly #attached: Attached[] = [];

  constructor(plane: DataPlane, log: Logger) {
    this.#plane = plane;
    this.#log = log;
    this.#directory = plane.pinDirectory && join(plane.pinDirectory, "links");
    if (this.#directory !== undefined) preparePinDirectory(this.#directory);
  }

  /** TC on the interface: tcx, or clsact before Linux 6.6. Throws BPF_ATTACH_FAILED. */
  attachTc(link: Link): void {
    const result = this.#attach(link, "tcx", this.#plane.tcProgram, BPF_TCX_INGRESS, 0);
    if (result >= 0) {
      // An earlier start may have had an older kernel's way.
      return;
    }
    // EINVAL: the kernel does not know the attach type.
    if (-result !== ERRNO["EINVAL"] && -result !== ERRNO["EOPNOTSUPP"]) throw refused(link, "tcx", result);
    this.#attachClsact(link);
  }

  /** XDP on the interface. false, with the reason in the log: the driver or another program is in the way. */
  attachXdp(link: Link, generic: boolean): boolean {
    const program = this.#plane.xdpProgram;
    if (program === undefined) return false;
    const hook = generic ? "xdp-generic" : "xdp";
    const flags = generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
    const result = this.#attach(link, hook, program, BPF_XDP, flags);
    if (result >= 0) return true;
    this.#log.warn(
      { interface: link.name, hook, reason: errnoName(result) },
      "XDP cannot be attached: TC alone",
    );
    return false;
  }

  /** Removes what earlier starts have pinned and this one did not attach: another mode, another set of interfaces. */
  removeOthers(): void {
    if (this.#directory === undefined) return;
    const kept = new Set(this.#attached.map(({ pin }) => pin && basename(pin)));
    for (const name of pinnedNames(this.#directory)) {
      if (!kept.has(name)) this.#unpinNamed(name);
    }
  }

  /** Those in use. */
  get hooks(): ReadonlySet<Hook> {
    return new Set(this.#attached.map(({ hook }) => hook));
  }

  get interfaceIndexes(): readonly number[] {
    return [...new Set(this.#attached.map(({ interfaceIndex }) => interfaceIndex))];
  }

  /** Forgets the links; pinned ones stay attached. */
  close(): void {
    for (const { fd } of this.#attached) if (fd >= 0) libc().close(fd);
    this.#attached.length = 0;
  }

  /** Detaches everything, what an earlier start has pinned too. */
  uninstall(): void {
    for (const { fd, hook, interfaceIndex } of this.#attached) {
      if (hook === "clsact") detachClsact(interfaceIndex);
      else libbpf().linkDetach(fd);
    }
    this.close();
    if (this.#directory === undefined) return;
    for (const name of pinnedNames(this.#directory)) this.#unpinNamed(name);
  }

  #unpinNamed(name: string): void {
    const path = join(this.#directory as string, name);
    const [index, hook] = name.split("_");
    // A clsact filter has no link: its pin is the program's, and says that the filter is there.
    if (hook === "clsact") detachClsact(Number(index));
    unpin(path);
  }

  // bpffs reserves dots in names.
  #pinPath(link: Link, hook: Hook): string | undefined {
    return this.#directory && join(this.#directory, `${link.index}_${hook}`);
  }

  /** The link's file descriptor, or a negative errno. An existing link gets the new program in place. */
  #attach(link: Link, hook: Hook, program: number, type: number, flags: number): number {
    const bpf = libbpf();
    const pin = this.#pinPath(link, hook);
    if (pin !== undefined) {
      const fd = bpf.get(pin);
      if (fd >= 0) {
        if (attachedTo(fd) === link.index && bpf.linkUpdate(fd, program, null) === 0) {
          this.#attached.push({ hook, interfaceIndex: link.index, fd, pin });
          return fd;
        }
        // The interface has gone, and another has its number.
        libc().close(fd);
        unpin(pin);
      }
    }
    // One XDP program per interface: a link of ours in the other XDP mode has to go first.
    if (type === BPF_XDP) {
      const other = this.#pinPath(link, hook === "xdp" ? "xdp-generic" : "xdp");
      if (other !== undefined) unpin(other);
    }
    const settings = options(LINK_CREATE_OPTIONS_SIZE);
    settings.writeUInt32LE(flags, LINK_CREATE_FLAGS_OFFSET);
    const fd = bpf.linkCreate(program, link.index, type, settings);
    if (fd < 0) return fd;
    if (pin !== undefined) {
      const pinned = bpf.pin(fd, pin);
      if (pinned !== 0) throw refused(link, `pinning ${hook}`, pinned);
    }
    this.#attached.push({ hook, interfaceIndex: link.index, fd, pin });
    return fd;
  }

  #attachClsact(link: Link): void {
    const bpf = libbpf();
    const hook = tcHook(link.index);
    const created = bpf.tcHookCreate(hook);
    if (created !== 0 && -created !== ERRNO["EEXIST"]) throw refused(link, "clsact", created);
    const settings = options(TC_OPTIONS_SIZE);
    settings.writeInt32LE(this.#plane.tcProgram, 8);
    settings.writeUInt32LE(BPF_TC_F_REPLACE, 12);
    settings.writeUInt32LE(TC_HANDLE, 20);
    settings.writeUInt32LE(TC_PRIORITY, 24);
    const result = bpf.tcAttach(hook, settings);
    if (result !== 0) throw refused(link, "clsact", result);
    const pin = this.#pinPath(link, "clsact");
    if (pin !== undefined) {
      unpin(pin);
      bpf.pin(this.#plane.tcProgram, pin);
    }
    this.#attached.push({ hook: "clsact", interfaceIndex: link.index, fd: -1, pin });
  }
}

/** Ids of the programs on an interface's tcx hook, in their order; none before Linux 6.6. */
export function tcxProgramIds(interfaceIndex: number): number[] {
  const ids = Buffer.alloc(4 * TCX_PROGRAM_COUNT_MAX);
  const count = Buffer.alloc(4);
  count.writeUInt32LE(TCX_PROGRAM_COUNT_MAX);
  if (libbpf().programQuery(interfaceIndex, BPF_TCX_INGRESS, 0, null, ids, count) !== 0) return [];
  return Array.from({ length: count.readUInt32LE(0) }, (_, i) => ids.readUInt32LE(4 * i));
}

/** The interface that a link hangs on; 0 when it has gone. */
function attachedTo(fd: number): number {
  const info = Buffer.alloc(LINK_INFO_SIZE);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(LINK_INFO_SIZE);
  return libbpf().infoByFd(fd, info, size) === 0 ? info.readUInt32LE(LINK_INFO_IFINDEX_OFFSET) : 0;
}

function tcHook(interfaceIndex: number): Buffer {
  const hook = options(TC_HOOK_SIZE);
  hook.writeInt32LE(interfaceIndex, 8);
  hook.writeInt32LE(BPF_TC_INGRESS, 12);
  return hook;
}

function detachClsact(interfaceIndex: number): void {
  const settings = options(TC_OPTIONS_SIZE);
  settings.writeUInt32LE(TC_HANDLE, 20);
  settings.writeUInt32LE(TC_PRIORITY, 24);
  libbpf().tcDetach(tcHook(interfaceIndex), settings);
}

function refused(link: Link, what: string, result: number): HoldfastError {
  return new HoldfastError("BPF_ATTACH_FAILED", { interface: link.name, what, reason: errnoName(result) });
}
