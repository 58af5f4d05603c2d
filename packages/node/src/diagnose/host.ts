// What the machine must have where the configuration asks for a prepared host.
import { HoldfastError } from "@holdfast/model";
import type { Configuration } from "../config/schema.ts";
import type { DiagnoseFinding } from "./findings.ts";
import type { Machine } from "./machine.ts";

const PROGRAM_DIRECTORIES = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"];

export function checkHost(
  { host, dataPlane }: Configuration,
  machine: Pick<Machine, "read" | "names">,
): DiagnoseFinding[] {
  const { loop, identityNat } = host;
  if (!loop && !identityNat) return [];
  const programs = new Set(PROGRAM_DIRECTORIES.flatMap((directory) => machine.names(directory)));
  const missing = [
    ...(loop && !programs.has("ip")
      ? [new HoldfastError("HOST_IP_FAILED", { reason: "there is no ip" })]
      : []),
    ...(identityNat && !programs.has("nft")
      ? [new HoldfastError("HOST_NFT_FAILED", { reason: "there is no nft" })]
      : []),
    ...(loop && dataPlane.mode === "userspace"
      ? [new HoldfastError("HOST_LOOP_NEEDS_BPF", { mode: dataPlane.mode })]
      : []),
    ...((machine.read("/proc/sys/net/ipv4/ip_forward") ?? "").trim() === "0"
      ? [new HoldfastError("HOST_NOT_FORWARDING", {})]
      : []),
  ];
  return missing.map(({ code, message, remedy }) => ({
    subject: "host",
    level: "fail",
    detail: `${code}: ${message}`,
    remedy,
  }));
}
