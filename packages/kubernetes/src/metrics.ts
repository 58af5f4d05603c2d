// Figures of the controller, for Prometheus.
import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import type { Controller } from "./controller/controller.ts";

export interface MetricsSources {
  readonly isLeader: () => boolean;
  /** undefined: another replica leads. */
  readonly controller: () => Controller | undefined;
  readonly eventsDropped: () => number;
}

export interface ControllerMetrics {
  readonly registry: Registry;
  /** A request of somebody failed: `subject` is a resource, `members` or `lease`. */
  failed(subject: string): void;
}

export function createMetrics({ isLeader, controller, eventsDropped }: MetricsSources): ControllerMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const gauge = (name: string, help: string, value: () => number) =>
    new Gauge({
      name: `holdfast_controller_${name}`,
      help,
      registers,
      collect() {
        this.set(value());
      },
    });
  gauge("leader", "1: this replica leads.", () => (isLeader() ? 1 : 0));
  gauge("services", "Services of our classes.", () => controller()?.counts.services ?? 0);
  gauge("gateways", "Gateways of our classes.", () => controller()?.counts.gateways ?? 0);
  gauge(
    "services_pending",
    "Services that wait: for an address, or for what members refuse.",
    () => controller()?.counts.pending ?? 0,
  );
  gauge("queue_size", "Services that are to be looked at now.", () => controller()?.queue.size ?? 0);
  gauge("queue_failing", "Services whose last look failed.", () => controller()?.queue.failing ?? 0);
  gauge("events_dropped", "Events of Kubernetes held back, since the start.", eventsDropped);
  gauge("members_silent_seconds", "Since a member last answered.", () => {
    const heardAtMs = controller()?.membersHeardAtMs;
    return heardAtMs === undefined ? 0 : Math.min(1e9, (performance.now() - heardAtMs) / 1000);
  });
  new Gauge({
    name: "holdfast_controller_member_changes",
    help: "Services created, replaced and removed at the members by this leader.",
    labelNames: ["verb"],
    registers,
    collect() {
      const { creates = 0, replaces = 0, removals = 0 } = controller()?.members.counters ?? {};
      this.set({ verb: "create" }, creates);
      this.set({ verb: "replace" }, replaces);
      this.set({ verb: "remove" }, removals);
    },
  });
  new Gauge({
    name: "holdfast_controller_reflector",
    help: "Lists, watches and what went wrong with them, by resource, of this leader.",
    labelNames: ["resource", "what"],
    registers,
    collect() {
      for (const reflector of controller()?.reflectors ?? [])
        for (const [what, count] of Object.entries(reflector.counters))
          this.set({ resource: reflector.plural, what }, count);
    },
  });
  new Gauge({
    name: "holdfast_controller_api_silent_seconds",
    help: "Since the API server last said anything about a resource.",
    labelNames: ["resource"],
    registers,
    collect() {
      for (const { plural, silentMs } of controller()?.reflectors ?? [])
        this.set({ resource: plural }, Math.min(1e9, silentMs / 1000));
    },
  });
  const failures = new Counter({
    name: "holdfast_controller_failures_total",
    help: "Requests that failed, by what they were about.",
    labelNames: ["subject"],
    registers,
  });
  return { registry, failed: (subject) => failures.inc({ subject }) };
}
