// Attaching: XDP and tcx links, pinned so that they outlive the daemon; clsact where there is no tcx.

import { basename, join } from "node:path";
import { HoldfastError, type Logger } from "@holdfast/model";
import { libbpf, options, withLibbpfLog } from "../../kernel/libbpf.ts";
import { ERRNO, errnoName, libc } from "../../kernel/libc.ts";
import type { Link } from "../../netlink/messages.ts";
import type { Hook } from "../port.ts";
import { pinnedNames, preparePinDirectory, unpin } from "./bpffs.ts";
import type { DataPlane } from "./data-plane.ts";

const BPF_XDP = 37;
const BPF_TCX_INGRESS = 46;
const XDP_FLAGS_SKB_MODE = 2;
const XDP_FLAGS_DRV_MODE = 4;
const LINK_CREATE_OPTIONS_SIZE = 64;
const LINK_CREATE_FLAGS_OFFSET = 8;
/** In front of the programs that are there: what one of them takes or passes on, those behind it never see. */
const BPF_F_BEFORE = 8;
/** As the kernel has it. */
const TCX_PROGRAM_COUNT_MAX = 64;
const LINK_INFO_SIZE = 128;
const LINK_INFO_PROGRAM_OFFSET = 8;
const LINK_INFO_IFINDEX_OFFSET = 16;

const TC_HOOK_SIZE = 24;
const TC_OPTIONS_SIZE = 32;
const BPF_TC_INGRESS = 1;
const BPF_TC_F_REPLACE = 1;
/**
 * Where our filter stands among a clsact's; the same at every start, so that it is replaced and found again. First, and
 * before those of the same priority that are there: a filter that answers TC_ACT_OK hides packets from all behind it.
 * The handle is our own, or the filter of a CNI would be replaced.
 */
const TC_PLACE = { handle: 0x4846, priority: 1 } as const;
/** Where earlier versions put it, and where it goes when somebody else has the first priority for another kind. */
const TC_PLACE_LATE = { handle: 1, priority: 0x4846 } as const;

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
    const result = this.#attach(link, "tcx", this.#plane.tcProgram, BPF_TCX_INGRESS, BPF_F_BEFORE);
    if (result >= 0) return;
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

  hooksOf(interfaceIndex: number): readonly Hook[] {
    return this.#attached.filter((each) => each.interfaceIndex === interfaceIndex).map(({ hook }) => hook);
  }

  /** Programs of others on the tcx hook that see packets before ours. */
  programsBefore(interfaceIndex: number): number {
    const ours = this.#attached.find((each) => each.hook === "tcx" && each.interfaceIndex === interfaceIndex);
    return ours === undefined ? 0 : placeOf(ours.fd);
  }

  /** From one interface, which may have gone already. */
  detach(interfaceIndex: number): void {
    for (const { fd, hook, pin, ...each } of [...this.#attached]) {
      if (each.interfaceIndex !== interfaceIndex) continue;
      if (hook === "clsact") detachClsact(interfaceIndex);
      if (fd >= 0) {
        libbpf().linkDetach(fd);
        libc().close(fd);
      }
      if (pin !== undefined) unpin(pin);
      this.#attached.splice(
        this.#attached.findIndex((other) => other.interfaceIndex === interfaceIndex && other.hook === hook),
        1,
      );
    }
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
    release(path);
  }

  // bpffs reserves dots in names.
  #pinPath(link: Link, hook: Hook): string | undefined {
    return this.#directory && join(this.#directory, `${link.index}_${hook}`);
  }

  /** The link's file descriptor, or a negative errno. An existing link gets the new program in place. */
  #attach(link: Link, hook: Hook, program: number, type: number, flags: number): number {
    const bpf = libbpf();
    const pin = this.#pinPath(link, hook);
    let old = -1;
    if (pin !== undefined) {
      const fd = bpf.get(pin);
      if (fd >= 0) {
        // Behind another program it is no use: a new link is made in front before the old one goes.
        const behind = hook === "tcx" && placeOf(fd) > 0;
        if (!behind && attachedTo(fd) === link.index && bpf.linkUpdate(fd, program, null) === 0) {
          this.#attached.push({ hook, interfaceIndex: link.index, fd, pin });
          return fd;
        }
        // The interface has gone, and another has its number.
        unpin(pin);
        if (behind) old = fd;
        else libc().close(fd);
      }
    }
    // One XDP program per interface: a link of ours in the other XDP mode has to go first.
    if (type === BPF_XDP) {
      const other = this.#pinPath(link, hook === "xdp" ? "xdp-generic" : "xdp");
      if (other !== undefined) release(other);
    }
    const settings = options(LINK_CREATE_OPTIONS_SIZE);
    settings.writeUInt32LE(flags, LINK_CREATE_FLAGS_OFFSET);
    const fd = bpf.linkCreate(program, link.index, type, settings);
    if (old >= 0) libc().close(old);
    if (fd < 0) return fd;
    if (pin !== undefined) {
      const pinned = bpf.pin(fd, pin);
      if (pinned !== 0) throw refused(link, `pinning ${hook}`, pinned);
    }
    this.#attached.push({ hook, interfaceIndex: link.index, fd, pin });
    return fd;
  }

  #attachClsact(link: Link): void {
    // libbpf prints what the kernel says about filters that are not there.
    const { result } = withLibbpfLog(() => this.#placeFilter(link));
    if (result !== undefined)
      this.#log.warn(
        { interface: link.name, reason: result },
        "another TC filter has the first priority: what it takes or passes on is not seen here",
      );
    const pin = this.#pinPath(link, "clsact");
    if (pin !== undefined) {
      unpin(pin);
      libbpf().pin(this.#plane.tcProgram, pin);
    }
    this.#attached.push({ hook: "clsact", interfaceIndex: link.index, fd: -1, pin });
  }

  /** Why it does not stand first; undefined: it does. Throws BPF_ATTACH_FAILED. */
  #placeFilter(link: Link): string | undefined {
    const bpf = libbpf();
    const hook = tcHook(link.index);
    const created = bpf.tcHookCreate(hook);
    if (created !== 0 && -created !== ERRNO["EEXIST"]) throw refused(link, "clsact", created);
    const first = bpf.tcAttach(hook, this.#clsactOptions(TC_PLACE));
    if (first === 0) {
      bpf.tcDetach(hook, placeOptions(TC_PLACE_LATE));
      return undefined;
    }
    const result = bpf.tcAttach(hook, this.#clsactOptions(TC_PLACE_LATE));
    if (result !== 0) throw refused(link, "clsact", result);
    return errnoName(first);
  }

  #clsactOptions(place: TcPlace): Buffer {
    const settings = placeOptions(place);
    settings.writeInt32LE(this.#plane.tcProgram, 8);
    settings.writeUInt32LE(BPF_TC_F_REPLACE, 12);
    return settings;
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

/** Detaches and unpins. Removing the pin alone lets the kernel detach when it finds the time. */
function release(pin: string): void {
  const fd = libbpf().get(pin);
  unpin(pin);
  if (fd < 0) return;
  // Of a clsact the pin is the program's, and this does nothing.
  libbpf().linkDetach(fd);
  libc().close(fd);
}

/** The interface that a link hangs on; 0 when it has gone. */
function attachedTo(fd: number): number {
  return linkInfo(fd)?.readUInt32LE(LINK_INFO_IFINDEX_OFFSET) ?? 0;
}

/** Programs that stand before a tcx link's. */
function placeOf(fd: number): number {
  const info = linkInfo(fd);
  if (info === undefined) return 0;
  const ids = tcxProgramIds(info.readUInt32LE(LINK_INFO_IFINDEX_OFFSET));
  return Math.max(0, ids.indexOf(info.readUInt32LE(LINK_INFO_PROGRAM_OFFSET)));
}

function linkInfo(fd: number): Buffer | undefined {
  const info = Buffer.alloc(LINK_INFO_SIZE);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(LINK_INFO_SIZE);
  return libbpf().infoByFd(fd, info, size) === 0 ? info : undefined;
}

interface TcPlace {
  readonly handle: number;
  readonly priority: number;
}

function placeOptions({ handle, priority }: TcPlace): Buffer {
  const settings = options(TC_OPTIONS_SIZE);
  settings.writeUInt32LE(handle, 20);
  settings.writeUInt32LE(priority, 24);
  return settings;
}

function tcHook(interfaceIndex: number): Buffer {
  const hook = options(TC_HOOK_SIZE);
  hook.writeInt32LE(interfaceIndex, 8);
  hook.writeInt32LE(BPF_TC_INGRESS, 12);
  return hook;
}

function detachClsact(interfaceIndex: number): void {
  const hook = tcHook(interfaceIndex);
  withLibbpfLog(() => {
    for (const place of [TC_PLACE, TC_PLACE_LATE]) libbpf().tcDetach(hook, placeOptions(place));
  });
}

function refused(link: Link, what: string, result: number): HoldfastError {
  return new HoldfastError("BPF_ATTACH_FAILED", { interface: link.name, what, reason: errnoName(result) });
}
