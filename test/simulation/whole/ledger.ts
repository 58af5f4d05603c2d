// What is true outside the cluster: every association as its two ends have it, and what was seen that must not be.
import type { Address, Service } from "@holdfast/model";

/** Violations that are kept; the first one matters. */
const VIOLATION_COUNT_MAX = 20;

export type Side = "client" | "endpoint";

/** One INIT's worth of an association. A restart begins another instance. */
export interface Instance {
  readonly id: number;
  readonly client: string;
  readonly clientPort: number;
  readonly service: Service;
  readonly clientTag: number;
  readonly begunAtMs: number;
  /** `opening`: no COOKIE-ACK yet. `closing`: one of its ends, or an operator, is ending it. */
  state: "opening" | "alive" | "closing" | "over";
  /** The endpoint's host, and how it names the client, once it has the association. */
  endpoint: string | undefined;
  natPort: number;
  aliveSinceMs: number;
  /** Of the INIT-ACK that the client took; 0 before. */
  endpointTag: number;
  /** Its endpoint lost its memory. */
  endpointLost: boolean;
  /** Why nothing is expected of it. */
  excused: string | undefined;
  readonly sent: Record<Side, number>;
  /** By the side that sent them. */
  readonly delivered: Record<Side, number>;
}

export class Ledger {
  readonly instances: Instance[] = [];
  readonly violations: string[] = [];
  readonly #byTag = new Map<number, Instance>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  begin(client: string, clientPort: number, service: Service, clientTag: number): Instance {
    const instance: Instance = {
      id: this.instances.length + 1,
      client,
      clientPort,
      service,
      clientTag,
      begunAtMs: this.#nowMs(),
      state: "opening",
      endpoint: undefined,
      natPort: 0,
      aliveSinceMs: 0,
      endpointTag: 0,
      endpointLost: false,
      excused: undefined,
      sent: { client: 0, endpoint: 0 },
      delivered: { client: 0, endpoint: 0 },
    };
    this.instances.push(instance);
    this.#byTag.set(clientTag, instance);
    return instance;
  }

  byTag(clientTag: number): Instance | undefined {
    return this.#byTag.get(clientTag);
  }

  byId(id: number): Instance | undefined {
    return this.instances[id - 1];
  }

  get alive(): Instance[] {
    return this.instances.filter(({ state }) => state === "alive");
  }

  violate(text: string): void {
    const whole = `${Math.round(this.#nowMs())} ms: ${text}`;
    if (this.violations.length < VIOLATION_COUNT_MAX) this.violations.push(whole);
  }

  /** A side was told that its association has ended. */
  told(instance: Instance, side: Side, how: string): void {
    const { state, endpointLost, excused } = instance;
    if ((state === "alive" || state === "opening") && !endpointLost && excused === undefined)
      this.violate(`${nameOf(instance)}: its ${side} was told of an end (${how}) that nobody made`);
    instance.state = "over";
  }

  /** The INIT-ACK came, and no COOKIE-ECHO was ever answered. */
  failed(instance: Instance): void {
    if (instance.state === "opening" && !instance.endpointLost && instance.excused === undefined)
      this.violate(`${nameOf(instance)}: its handshake failed after the INIT-ACK`);
    instance.state = "over";
  }

  /** INIT and INIT-ACK list the complete set of VIPs, and nothing else. */
  checkList(
    instance: Instance | undefined,
    side: Side,
    listed: readonly Address[],
    service: Service | undefined,
  ): void {
    if (service === undefined) return;
    const strange = listed.filter((address) => !service.vips.includes(address));
    const name = instance === undefined ? "an INIT" : nameOf(instance);
    if (strange.length > 0) this.violate(`${name}: its ${side} was shown ${strange.join(", ")}`);
    else if (service.vips.length > 1 && new Set(listed).size !== service.vips.length)
      this.violate(`${name}: its ${side} was shown ${listed.length} of ${service.vips.length} VIPs`);
  }
}

export function nameOf(instance: Instance): string {
  return `a${instance.id} (${instance.client}:${instance.clientPort})`;
}
