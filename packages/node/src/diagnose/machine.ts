// Checks of this machine: kernel, capabilities, bpffs, BTF, interfaces and their offloads, rp_filter, clock. Looks
// through a port, so that tests can describe a machine.

import { execFileSync } from "node:child_process";
import { accessSync, constants, readdirSync, readFileSync, statfsSync } from "node:fs";
import { isPattern, patternOf } from "@holdfast/forwarder/interface-patterns";
import type { Configuration } from "../config/schema.ts";
import { checkCertificate } from "./certificate.ts";
import type { DiagnoseFinding } from "./findings.ts";
import { checkHost } from "./host.ts";

export interface Link {
  readonly name: string;
  readonly up: boolean;
  readonly carrier: boolean;
  readonly mtu: number;
  /** "veth", "bridge", …; "device" for hardware. */
  readonly kind: string;
}

interface IpLink {
  readonly ifname: string;
  readonly flags: readonly string[];
  readonly mtu: number;
  readonly linkinfo?: { readonly info_kind?: string };
}

export interface Machine {
  /** Content of a file, undefined when it cannot be read. */
  read(file: string): string | undefined;
  links(): readonly Link[];
  /** statfs's magic number, undefined when there is no such path. */
  filesystemType(path: string): number | undefined;
  writable(path: string): boolean;
  /** Bytes that are free at a path. */
  freeBytes(path: string): number | undefined;
  /** Names in a directory; none when it cannot be listed. */
  names(path: string): readonly string[];
}

export const thisMachine: Machine = {
  read(file) {
    try {
      return readFileSync(file, "utf8");
    } catch {
      return undefined;
    }
  },
  links() {
    // /sys shows the interfaces of the namespace that mounted it; ip asks the kernel.
    try {
      const text = execFileSync("ip", ["-json", "-details", "link", "show"], { encoding: "utf8" });
      return (JSON.parse(text) as IpLink[]).map((link) => ({
        name: link.ifname,
        up: link.flags.includes("UP"),
        carrier: link.flags.includes("LOWER_UP"),
        mtu: link.mtu,
        kind: link.linkinfo?.info_kind ?? "device",
      }));
    } catch {
      return [];
    }
  },
  filesystemType(path) {
    try {
      return statfsSync(path).type;
    } catch {
      return undefined;
    }
  },
  writable(path) {
    try {
      accessSync(path, constants.W_OK);
      return true;
    } catch {
      return false;
    }
  },
  names(path) {
    try {
      return readdirSync(path);
    } catch {
      return [];
    }
  },
  freeBytes(path) {
    try {
      const { bavail, bsize } = statfsSync(path);
      return bavail * bsize;
    } catch {
      return undefined;
    }
  },
};

const BPF_FILESYSTEM = 0xcafe4a11;
/** linux/capability.h */
const CAPABILITIES = {
  NET_ADMIN: 12,
  NET_RAW: 13,
  SYS_ADMIN: 21,
  SYS_NICE: 23,
  PERFMON: 38,
  BPF: 39,
} as const;
const KERNEL_MINIMUM = [5, 15] as const;
const KERNEL_TCX = [6, 6] as const;
const STORE_FREE_BYTES_MIN = 64 * 1024 * 1024;

export function diagnoseMachine(
  configuration: Configuration,
  machine: Machine = thisMachine,
): DiagnoseFinding[] {
  return [
    checkKernel(machine),
    checkCapabilities(configuration, machine),
    ...checkBpf(configuration, machine),
    ...checkInterfaces(configuration, machine),
    ...checkHost(configuration, machine),
    ...checkKernelSctp(machine),
    checkStore(configuration, machine),
    ...checkCertificate(configuration, machine),
    checkClock(machine),
  ];
}

function checkKernel(machine: Machine): DiagnoseFinding {
  const release = (machine.read("/proc/sys/kernel/osrelease") ?? "").trim();
  const [major = 0, minor = 0] = release.split(".").map((part) => Number.parseInt(part, 10));
  const atLeast = ([wantedMajor, wantedMinor]: readonly [number, number]) =>
    major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
  const subject = "kernel";
  if (!atLeast(KERNEL_MINIMUM))
    return {
      subject,
      level: "warn",
      detail: `Linux ${release || "of an unknown version"} is older than ${KERNEL_MINIMUM.join(".")}, which the BPF fast path needs.`,
      remedy: "Update the kernel, or live with dataPlane.mode userspace, which is slower.",
    };
  if (!atLeast(KERNEL_TCX))
    return {
      subject,
      level: "ok",
      detail: `Linux ${release}: XDP and clsact; tcx needs ${KERNEL_TCX.join(".")}.`,
    };
  return { subject, level: "ok", detail: `Linux ${release}: XDP and tcx.` };
}

function checkCapabilities(configuration: Configuration, machine: Machine): DiagnoseFinding {
  const status = machine.read("/proc/self/status") ?? "";
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? "0"}`);
  const has = (bit: number) => (effective & (1n << BigInt(bit))) !== 0n;
  const bpf = configuration.dataPlane.mode !== "userspace";
  const wanted = bpf
    ? (["NET_ADMIN", "NET_RAW", "PERFMON", "BPF"] as const)
    : (["NET_ADMIN", "NET_RAW"] as const);
  const missing = has(CAPABILITIES.SYS_ADMIN)
    ? wanted.filter((name) => name.startsWith("NET") && !has(CAPABILITIES[name]))
    : wanted.filter((name) => !has(CAPABILITIES[name]));
  const subject = "capabilities";
  if (missing.length === 0 && !has(CAPABILITIES.SYS_NICE))
    return {
      subject,
      level: "warn",
      detail: `This user has ${wanted.join(", ")}, and not SYS_NICE: the probes have no real-time priority.`,
      remedy: "Give it CAP_SYS_NICE: a member whose probes wait for others' work looks dead.",
    };
  if (missing.length === 0) return { subject, level: "ok", detail: `This user has ${wanted.join(", ")}.` };
  const names = missing.map((name) => `CAP_${name}`).join(", ");
  return {
    subject,
    level: "fail",
    detail: `This user lacks ${names}.`,
    remedy: `Run as root, or give them: systemd AmbientCapabilities=${names.replaceAll(",", "")}, docker --cap-add for each.`,
  };
}

function checkBpf(configuration: Configuration, machine: Machine): DiagnoseFinding[] {
  const { mode, pinDirectory } = configuration.dataPlane;
  if (mode === "userspace") return [];
  const findings: DiagnoseFinding[] = [];
  const parent = pinDirectory.replace(/\/[^/]*$/, "") || "/";
  const type = machine.filesystemType(pinDirectory) ?? machine.filesystemType(parent);
  findings.push(
    type === BPF_FILESYSTEM
      ? {
          subject: "bpffs",
          level: "ok",
          detail: `${pinDirectory} is on a bpffs: the data plane survives the daemon.`,
        }
      : {
          subject: "bpffs",
          level: "fail",
          detail: `${pinDirectory} is not on a bpffs, so the data plane could not stay when the daemon stops.`,
          remedy: "mount -t bpf bpf /sys/fs/bpf (in a container: bind-mount the host's /sys/fs/bpf).",
        },
  );
  const btf = machine.read("/sys/kernel/btf/vmlinux");
  findings.push(
    btf !== undefined
      ? {
          subject: "BTF",
          level: "ok",
          detail: "The kernel describes its types: checksums of local stacks are seen.",
        }
      : {
          subject: "BTF",
          level: "warn",
          detail: "The kernel has no BTF (/sys/kernel/btf/vmlinux).",
          remedy:
            "Use a kernel built with CONFIG_DEBUG_INFO_BTF; without it the fast path falls back to userspace.",
        },
  );
  const jit = (machine.read("/proc/sys/net/core/bpf_jit_enable") ?? "").trim();
  if (jit === "0")
    findings.push({
      subject: "BPF JIT",
      level: "warn",
      detail: "The JIT compiler is off: the fast path is several times slower.",
      remedy: "sysctl -w net.core.bpf_jit_enable=1",
    });
  return findings;
}

function checkInterfaces(configuration: Configuration, machine: Machine): DiagnoseFinding[] {
  const links = new Map(machine.links().map((link) => [link.name, link]));
  const findings: DiagnoseFinding[] = [];
  const named = configuration.interfaces;
  if (named.length === 0)
    findings.push({
      subject: "interfaces",
      level: "warn",
      detail: "No interfaces are configured: every one that is up is used as path and core.",
      remedy: "Name them under interfaces, with their roles.",
    });
  const others = new Set(named.map(({ name }) => name));
  const expanded = named.flatMap(({ name, role }) => {
    if (!isPattern(name)) return [{ name, role }];
    const fitting = [...links.keys()].filter((each) => patternOf(name).test(each) && !others.has(each));
    findings.push({
      subject: `interfaces ${name}`,
      level: fitting.length === 0 ? "warn" : "ok",
      detail: fitting.length === 0 ? "No interface fits, as yet." : `These fit: ${fitting.join(", ")}.`,
    });
    return fitting.map((each) => ({ name: each, role }));
  });
  for (const { name, role } of expanded) {
    const subject = `interface ${name}`;
    const link = links.get(name);
    if (link === undefined) {
      const present = [...links.keys()].filter((other) => other !== "lo");
      findings.push({
        subject,
        level: "fail",
        detail: "There is no such interface.",
        remedy: `Correct interfaces[].name; here are: ${present.join(", ") || "none"}.`,
      });
      continue;
    }
    if (!link.up || !link.carrier) {
      findings.push({
        subject,
        level: "fail",
        detail: `It is ${link.up ? "up, but without carrier" : "down"}: no VIP is owned on its network.`,
        remedy: `ip link set ${name} up, and check the cable or the virtual switch.`,
      });
      continue;
    }
    findings.push({
      subject,
      level: "ok",
      detail: `Up, ${link.kind}, MTU ${link.mtu}, ${[role].flat().join(" and ")}.`,
    });
    const filter = Math.max(
      ...["all", name].map((scope) =>
        Number((machine.read(`/proc/sys/net/ipv4/conf/${scope}/rp_filter`) ?? "0").trim()),
      ),
    );
    if (filter === 1 && ![role].flat().every((r) => r === "cluster"))
      findings.push({
        subject,
        level: "warn",
        detail:
          "Strict reverse path filtering (rp_filter 1) drops what the slow path relays over another way than it came.",
        remedy: `sysctl -w net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.${name}.rp_filter=2`,
      });
  }
  return findings;
}

/** A kernel with SCTP of its own would answer for VIPs if a packet ever reached it; the fast path keeps them away. */
function checkKernelSctp(machine: Machine): DiagnoseFinding[] {
  const loaded = /^sctp /m.test(machine.read("/proc/modules") ?? "");
  return [
    loaded
      ? {
          subject: "kernel SCTP",
          level: "ok",
          detail: "The kernel's own SCTP is loaded; the fast path keeps packets to VIPs away from it.",
        }
      : { subject: "kernel SCTP", level: "ok", detail: "Not loaded, and not needed." },
  ];
}

function checkStore(configuration: Configuration, machine: Machine): DiagnoseFinding {
  const { directory } = configuration.store;
  const subject = "store";
  if (directory === "")
    return {
      subject,
      level: "warn",
      detail:
        "store.directory is empty: when all members stop, sessions and services made through the API are gone.",
      remedy: "Set store.directory.",
    };
  let existing = directory;
  while (existing !== "/" && machine.filesystemType(existing) === undefined)
    existing = existing.replace(/\/[^/]*$/, "") || "/";
  if (!machine.writable(existing))
    return {
      subject,
      level: "fail",
      detail: `${existing} cannot be written.`,
      remedy: `Make ${directory} and give it to the daemon's user, or change store.directory.`,
    };
  const free = machine.freeBytes(existing);
  if (free !== undefined && free < STORE_FREE_BYTES_MIN)
    return {
      subject,
      level: "fail",
      detail: `Only ${Math.floor(free / 1024 / 1024)} MiB are free at ${directory}.`,
      remedy: "Make room: when it is full, changes through the API are answered with CONFIGURATION_NOT_KEPT.",
    };
  const broken = ["journals", "values"].flatMap((part) =>
    machine.names(`${directory}/${part}`).filter((name) => name.includes(".broken-")),
  );
  if (broken.length > 0)
    return {
      subject,
      level: "warn",
      detail: `${broken.length} broken files are put aside in ${directory}: ${broken.slice(0, 3).join(", ")}${broken.length > 3 ? ", …" : ""}.`,
      remedy:
        "The log says what was wrong with each. What is missing came from the other members: look at the disk, then remove them.",
    };
  return { subject, level: "ok", detail: `${directory} can be written.` };
}

function checkClock(machine: Machine): DiagnoseFinding {
  const subject = "clock";
  const year = new Date().getUTCFullYear();
  if (year < 2024)
    return {
      subject,
      level: "fail",
      detail: `The clock says ${new Date().toISOString()}: certificates are refused.`,
      remedy: "Set the clock, and run a time service (chrony, systemd-timesyncd).",
    };
  const source = (
    machine.read("/sys/devices/system/clocksource/clocksource0/current_clocksource") ?? ""
  ).trim();
  return {
    subject,
    level: "ok",
    detail: `${new Date().toISOString()}${source !== "" ? `, clock source ${source}` : ""}. Sessions do not depend on it; certificates do.`,
  };
}
