// A build of the programs with another layout of their maps, and what puts it in force: for tests of moving
// flows.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { silentLogger } from "@holdfast/model";
import type { DataPlane } from "../fast-path/bpf/data-plane.ts";
import { ServedInterfaces } from "../fast-path/bpf/served-interfaces.ts";
import { Netlink } from "../netlink/netlink.ts";

/** Every field of what is pinned lies elsewhere. */
export const OTHER_LAYOUT = "-DHF_TEST_LAYOUT";
/** A field of flows has another name: its meaning is gone. */
export const OTHER_MEANING = "-Dport_delta=port_sum";

/** The object file, compiled into a directory if it is not there. */
export function compiledWith(define: string, directory: string): string {
  const object = join(directory, `${define.replace(/\W/g, "")}.o`);
  const source = fileURLToPath(new URL("../fast-path/bpf/program/holdfast.bpf.c", import.meta.url));
  const machine = execFileSync("uname", ["-m"]).toString().trim();
  if (!existsSync(object))
    execFileSync("clang", [
      ...["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-I", `/usr/include/${machine}-linux-gnu`],
      ...["-Wno-address-of-packed-member", "-Wno-initializer-overrides", define, "-c", source, "-o", object],
    ]);
  return object;
}

/** Programs of a plane on the interfaces, as a daemon puts them there; `between` sees both layouts' maps. */
export function putInForce(
  plane: DataPlane,
  interfaces: readonly string[],
  between: () => void = () => {},
): void {
  const netlink = new Netlink();
  const served = new ServedInterfaces({ mode: "tc", interfaces, plane, netlink, log: silentLogger });
  served.open();
  between();
  plane.settle();
  served.close(true);
  plane.close();
  netlink.close();
}
