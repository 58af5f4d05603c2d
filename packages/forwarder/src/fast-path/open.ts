// Chooses the fast path that this machine allows.
import { HoldfastError, silentLogger } from "@holdfast/model";
import { Netlink } from "../netlink/netlink.ts";
import { InterfaceSelection, isEthernet } from "../netlink/selection.ts";
import { type BpfFastPath, type BpfFastPathOptions, openBpfFastPath } from "./bpf/bpf-fast-path.ts";
import type { Fallback, FastPath } from "./port.ts";
import { openUserspaceFastPath } from "./userspace/userspace-fast-path.ts";

export interface OpenFastPathOptions extends Omit<BpfFastPathOptions, "mode"> {
  /** auto: the fastest that works here. Anything else is tried alone, and its failure is thrown. */
  readonly mode: "auto" | "xdp" | "xdp-generic" | "tc" | "userspace";
  /** The nftables table of the userspace fast path; see its options. */
  readonly guardTable?: string;
}

/** Failures of BPF that leave the userspace fast path as a way out; a wrong interface name fails either. */
const BPF_ABSENT = new Set([
  "BPF_LIBRARY_MISSING",
  "BPF_OBJECT_MISSING",
  "BPF_FS_UNAVAILABLE",
  "BPF_NOT_PERMITTED",
  "BPF_LOAD_FAILED",
  "BPF_ATTACH_FAILED",
]);

/**
 * `interfaces` empty: every Ethernet interface that is up and no member of a bridge or bond; those that come,
 * too.
 */
export async function openFastPath(options: OpenFastPathOptions): Promise<FastPath> {
  const logger = options.logger ?? silentLogger;
  const { interfaces } = options;
  if (interfaces.length === 0 && !hasUsableInterface()) throw new HoldfastError("INTERFACE_NONE", {});
  let fellBack: Fallback | undefined;
  if (options.mode !== "userspace") {
    try {
      const fastPath = await openBpfFastPath({ ...options, interfaces, mode: options.mode });
      logger.info(
        {
          mode: fastPath.mode,
          interfaces: fastPath.interfaces().map(({ name }) => name),
          adopted: fastPath.adopted,
        },
        fastPath.adopted ? "fast path adopted with its flows" : "fast path attached",
      );
      return fastPath;
    } catch (error) {
      const fallback =
        options.mode === "auto" && error instanceof HoldfastError && BPF_ABSENT.has(error.code);
      if (!fallback) throw error;
      fellBack = { code: error.code, reason: error.message };
      logger.warn(
        fellBack,
        "no BPF here: packets go through the userspace fast path, which is slower and stops with the daemon",
      );
    }
  }
  return openUserspaceFastPath({
    interfaces,
    logger,
    ...(fellBack !== undefined && { fallback: fellBack }),
    ...(options.towards !== undefined && { towards: options.towards }),
    ...(options.flowCountMax === undefined ? {} : { flowCountMax: options.flowCountMax }),
    ...(options.guardTable === undefined ? {} : { guardTable: options.guardTable }),
  });
}

export function isBpfFastPath(fastPath: FastPath): fastPath is BpfFastPath {
  return fastPath.mode !== "userspace" && "plane" in fastPath;
}

function hasUsableInterface(): boolean {
  const selection = new InterfaceSelection([]);
  const netlink = new Netlink();
  try {
    const links = new Map(netlink.links().map((link) => [link.index, link]));
    return [...links.values()].some(
      (link) => isEthernet(link) && selection.wants(link, (index) => links.get(index)),
    );
  } finally {
    netlink.close();
  }
}
