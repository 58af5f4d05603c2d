// What the fast path is, and what its interfaces can do.
import type { DataPlaneStatus } from "@holdfast/api";
import { Gauge, type Registry } from "prom-client";

/** Fills all of them in one go: each look at the interfaces asks the kernel. */
export function dataPlaneMetrics(registers: Registry[], status: () => DataPlaneStatus): void {
  const labelNames = ["interface"];
  const takesRedirected = new Gauge({
    name: "holdfast_interface_takes_redirected",
    help: "1 when XDP can send to the interface, 0 when TC does it instead; absent without XDP.",
    labelNames,
    registers,
  });
  const programsBefore = new Gauge({
    name: "holdfast_interface_programs_before",
    help: "TC programs of others that see the interface's packets before the fast path.",
    labelNames,
    registers,
  });
  const drops = new Gauge({
    name: "holdfast_interface_drops",
    help: "Packets that the interface itself dropped since it is there, by direction; lost redirects of XDP among them.",
    labelNames: [...labelNames, "direction"],
    registers,
  });
  new Gauge({
    name: "holdfast_fast_path_fallback",
    help: "1 when a faster fast path than the one in use was wanted and did not work here, by the error's code.",
    labelNames: ["code"],
    registers,
    collect() {
      const { fallback, interfaces } = status();
      for (const gauge of [this, takesRedirected, programsBefore, drops]) gauge.reset();
      this.set({ code: fallback?.code ?? "none" }, fallback === undefined ? 0 : 1);
      for (const each of interfaces) {
        const labels = { interface: each.name };
        if (each.takesRedirected !== undefined) takesRedirected.set(labels, Number(each.takesRedirected));
        programsBefore.set(labels, each.programsBefore ?? 0);
        drops.set({ ...labels, direction: "receive" }, each.receiveDrops);
        drops.set({ ...labels, direction: "transmit" }, each.transmitDrops);
      }
    },
  });
}
