// Endpoints that a client posted by themselves (`loxicmd create ep`): how a host is to be asked. Kept at
// every member; every endpoint of a service at that address gets the check, those of services that come
// later, too.
import {
  type Address,
  addressesOfEndpoint,
  canonicalAddress,
  canonicalHealth,
  type HealthCheck,
  parseAddress,
  type Service,
} from "@holdfast/model";
import { specOf } from "../api/service-view.ts";
import type { ServiceRegistry } from "../services/registry.ts";
import type { ConfigurationStore, Note } from "../services/store.ts";
import { type Folded, numberOf, textOf } from "./fold.ts";
import { healthCheckOf } from "./probe.ts";
import { LoxilbError, SchemaViolation } from "./reply.ts";

const PREFIX = "loxilb/endpoint|";
/** Beyond, none is taken any more. */
const POSTED_COUNT_MAX = 1024;
const NAME_LENGTH_MAX = 128;
/** The name under which a rule's endpoint is shown, ADDRESS_sctp_PORT: posted, it means that one. */
const OWN_NAME = /^(.+)_sctp_(\d{1,5})$/;

export interface PostedEndpoint {
  readonly hostName: Address;
  readonly name: string;
  readonly inactiveReTries: number;
  readonly probeType: string;
  readonly probeReq: string;
  readonly probeResp: string;
  readonly probeDuration: number;
  readonly probePort: number;
  /** Of the endpoints that are meant; 0: all at that address. */
  readonly port: number;
}

export function parsePostedEndpoint(body: Folded): PostedEndpoint {
  const hostName = textOf(body, "hostName");
  if (hostName === "") throw new SchemaViolation(602, "hostName in body is required");
  const address = canonicalAddress(hostName);
  if (address === undefined) throw new LoxilbError("host-args error: malformed hostName");
  const probeType = textOf(body, "probeType").toLowerCase() || "ping";
  const probePort = numberOf(body, "probePort");
  const given = textOf(body, "name");
  const [, host, own] = OWN_NAME.exec(given) ?? [];
  const name = given || `${address}_${probeType}${probePort > 0 ? `_${probePort}` : ""}`;
  if (name.length > NAME_LENGTH_MAX) throw new LoxilbError("host-args error: malformed name, too long");
  const endpoint = {
    hostName: address,
    name,
    inactiveReTries: numberOf(body, "inactiveReTries"),
    probeType,
    probeReq: textOf(body, "probeReq"),
    probeResp: textOf(body, "probeResp"),
    probeDuration: numberOf(body, "probeDuration"),
    probePort,
    port: host === address ? Number(own) : 0,
  };
  checkOf(endpoint);
  return endpoint;
}

function checkOf(endpoint: PostedEndpoint): HealthCheck {
  const words = {
    type: endpoint.probeType,
    port: endpoint.probePort,
    request: endpoint.probeReq,
    response: endpoint.probeResp,
    periodS: endpoint.probeDuration,
    retries: endpoint.inactiveReTries,
  };
  return canonicalHealth(healthCheckOf(words, "ping") ?? { kind: "ping" });
}

function appliesTo({ hostName, port }: PostedEndpoint, address: Address | undefined, at: number): boolean {
  return hostName === address && (port === 0 || port === at);
}

/** Where the host of a posted endpoint is asked when no service has it: port 0 for a ping. */
export function hostPlace({ hostName, port, probePort }: PostedEndpoint): { address: Address; port: number } {
  return { address: hostName, port: port !== 0 ? port : probePort };
}

/** Posted endpoints at addresses that no service has: their hosts are asked all the same, as LoxiLB does. */
export function postedHosts(
  store: Pick<ConfigurationStore, "notes">,
  services: readonly Service[],
): { readonly address: Address; readonly port: number; readonly check: HealthCheck }[] {
  const addresses = new Set(services.flatMap(({ endpoints }) => endpoints.flatMap(addressesOfEndpoint)));
  return posted(store)
    .filter(({ hostName }) => !addresses.has(hostName))
    .map((endpoint) => ({ ...hostPlace(endpoint), check: checkOf(endpoint) }));
}

function posted(store: Pick<ConfigurationStore, "notes">): PostedEndpoint[] {
  return [...store.notes()]
    .filter(([name]) => name.startsWith(PREFIX))
    .map(([, note]) => decode(note))
    .filter((endpoint) => endpoint !== undefined);
}

export class PostedEndpoints {
  readonly #store: ConfigurationStore;
  readonly #registry: ServiceRegistry;

  constructor(store: ConfigurationStore, registry: ServiceRegistry) {
    this.#store = store;
    this.#registry = registry;
  }

  list(): PostedEndpoint[] {
    return posted(this.#store);
  }

  /** For an endpoint that a rule names for the first time. */
  checkFor(address: Address, port: number): HealthCheck | undefined {
    const found = this.list().find((endpoint) => appliesTo(endpoint, address, port));
    return found === undefined ? undefined : checkOf(found);
  }

  nameFor(address: Address, port: number): string | undefined {
    return this.list().find((endpoint) => appliesTo(endpoint, address, port))?.name;
  }

  /** Throws LoxilbError when there is no room, and what a service of the file says of a change. */
  set(endpoint: PostedEndpoint): void {
    const note = PREFIX + endpoint.name;
    if (!this.#store.notes().has(note) && this.list().length >= POSTED_COUNT_MAX)
      throw new LoxilbError("endpoint capacity insufficient");
    this.#change(endpoint, () => checkOf(endpoint));
    this.#store.setNote(note, { ...endpoint });
  }

  /** What it made of endpoints of services goes with it. */
  remove(matches: (endpoint: PostedEndpoint) => boolean): void {
    for (const endpoint of this.list()) {
      if (!matches(endpoint)) continue;
      const made = JSON.stringify(checkOf(endpoint));
      this.#change(endpoint, (check) =>
        check !== undefined && JSON.stringify(canonicalHealth(check)) === made ? undefined : check,
      );
      this.#store.setNote(PREFIX + endpoint.name, undefined);
    }
  }

  #change(changed: PostedEndpoint, next: (check: HealthCheck | undefined) => HealthCheck | undefined): void {
    for (const service of this.#registry.list()) {
      // Putting one that was deleted would bring it back.
      if (service.removal !== undefined) continue;
      if (!service.endpoints.some(({ address, port }) => appliesTo(changed, address, port))) continue;
      const spec = specOf(service);
      const endpoints = spec.endpoints.map((endpoint, index) => {
        const at = service.endpoints[index];
        if (at === undefined || !appliesTo(changed, at.address, at.port)) return endpoint;
        const { healthCheck: _, ...rest } = endpoint;
        const healthCheck = next(at.healthCheck);
        return { ...rest, ...(healthCheck !== undefined && { healthCheck }) };
      });
      this.#registry.put({ ...spec, endpoints });
    }
  }
}

/** Of any member's making. */
function decode(note: Note): PostedEndpoint | undefined {
  const { hostName, name, probeType, probeReq, probeResp } = note;
  const { inactiveReTries, probeDuration, probePort, port } = note;
  const texts = [hostName, name, probeType, probeReq, probeResp];
  const numbers = [inactiveReTries, probeDuration, probePort, port];
  if (texts.some((text) => typeof text !== "string") || numbers.some((n) => typeof n !== "number"))
    return undefined;
  const endpoint = note as unknown as PostedEndpoint;
  try {
    checkOf(endpoint);
    return { ...endpoint, hostName: parseAddress(endpoint.hostName) };
  } catch {
    return undefined;
  }
}
