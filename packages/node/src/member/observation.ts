// Readiness: what this member may be trusted with, looked at again and again.
import { type ClusterView, isPresent } from "@holdfast/coordinator";
import { NetworkFacts } from "../network/facts.ts";
import type { MemberParts } from "./parts.ts";

export class Observation {
  readonly #parts: MemberParts;
  readonly #networks = new NetworkFacts();

  constructor(parts: MemberParts) {
    this.#parts = parts;
  }

  observe(): void {
    const { members, coordinator, readiness, link, routers, topology } = this.#parts;
    this.#advise();
    const now = this.#parts.network.interfaces();
    routers?.need(isLonely(coordinator.view()));
    // Nobody can take over from a member alone: that its replication hangs is for its service manager and its
    // operator.
    const hangsAlone = members.current().members.length === 1 && !link.answers();
    coordinator.setReadiness({
      ready: hangsAlone ? readiness.readyBut("replication") : readiness.ready,
      caughtUp: hangsAlone || link.caughtUp(),
      networks: this.#networks.facts(topology.interfaces, (name) => ({
        carrier: now.has(name),
        routerHeard: routers?.isHeard(name) ?? false,
      })),
    });
  }

  /** What is said of each part; those that are required decide. */
  #advise(): void {
    const { readiness, dataPlane, link, network, topology } = this.#parts;
    readiness.set("dataPlane", true, `${dataPlane.mode} is attached`);
    const { fallback } = dataPlane;
    readiness.advise(
      "fastPath",
      fallback === undefined,
      fallback === undefined
        ? "it is the one that the configuration asks for"
        : `${dataPlane.mode} is in use because a faster one does not work here: ${fallback.code}: ${fallback.reason}`,
    );
    const replication = !link.answers()
      ? "its thread does not answer"
      : link.caughtUp()
        ? "this member holds what the others hold"
        : "it still catches up with the others";
    readiness.set("replication", link.caughtUp(), replication);
    const { failure } = link.disk();
    readiness.advise(
      "store",
      failure === undefined,
      failure === undefined
        ? "what must be kept is on disk"
        : `it cannot be written, and is tried again (${failure})`,
    );
    const now = network.interfaces();
    const down = topology.interfaces.filter(({ name }) => !now.has(name)).map(({ name }) => name);
    readiness.set(
      "interfaces",
      topology.interfaces.length === 0 || down.length < topology.interfaces.length,
      down.length === 0 ? "all are up" : `${down.join(", ")}: down or without carrier`,
    );
  }
}

/** Somewhere no other member is heard, though others live: whose cable it is only strangers can tell. */
function isLonely({ members, unheardNetworks }: ClusterView): boolean {
  return unheardNetworks.length > 0 && members.some((member) => !member.isSelf && isPresent(member));
}
