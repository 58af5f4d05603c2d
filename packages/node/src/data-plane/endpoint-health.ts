// How an endpoint is, as this member's probes say, in the API's words.
import type { Forwarder } from "@holdfast/forwarder";
import { type Address, protocolOfId } from "@holdfast/model";
import type { EndpointHealthView } from "../api/sources.ts";
import { endpointKey, parseEndpointKey } from "../services/specification.ts";

/** Of an endpoint (ADDRESS:PORT) as its service has it. */
export function endpointHealth(forwarder: Forwarder, service: string, endpoint: string): EndpointHealthView {
  const place = parseEndpointKey(endpoint);
  if (place?.port === undefined) return { health: "unknown" };
  const { address, port } = place;
  const unproven = unprovenOf(forwarder, service, { address, port });
  const plain = forwarder.plain.healthOf(service, { address, port });
  if (plain !== undefined)
    return { ...plain, ...(plain.health === "up" && unproven.length > 0 && { unproven }) };
  const addresses = forwarder.addressesOf({ address, port }).map((each) => {
    const verdict = forwarder.health.verdictOf({ address: each, port });
    const health: EndpointHealthView["health"] = verdict?.verdict ?? "unknown";
    const reason = `${verdict?.reason ?? ""}${verdict?.speaks === true ? ", its SCTP answers" : ""}`;
    return { address: each, health, ...(health === "down" && { reason }) };
  });
  const twins = forwarder.sameServerAs({ address, port }).map((each) => endpointKey(each, port));
  const details = {
    ...(addresses.length > 1 && { addresses }),
    ...(twins.length > 0 && { sameServerAs: twins }),
  };
  if (addresses.every(({ health }) => health === "unknown")) return { health: "unknown", ...details };
  // An endpoint with several addresses is up while one of them answers.
  if (!forwarder.isEndpointUp({ address, port })) {
    const reasons = addresses.map(
      (each) => (addresses.length > 1 ? `${each.address}: ` : "") + (each.reason ?? ""),
    );
    return { health: "down", reason: reasons.join("; "), ...details };
  }
  const delays = forwarder.probeDelays({ address, port });
  return {
    health: "up",
    ...details,
    ...(unproven.length > 0 && { unproven }),
    ...(delays !== undefined && { delays }),
  };
}

/** VIPs of the service whose way to the endpoint is not proven, as their owners say. */
function unprovenOf(
  forwarder: Forwarder,
  service: string,
  place: { readonly address: Address; readonly port: number },
): NonNullable<EndpointHealthView["unproven"]> {
  const { unproven } = forwarder.ways;
  if (unproven.length === 0) return [];
  const ofService = protocolOfId(service);
  return unproven
    .filter(
      ({ protocol, vip, address, port }) =>
        protocol === ofService &&
        port === place.port &&
        forwarder.addressesFrom(service, vip, place).includes(address),
    )
    .map(({ vip, reason }) => ({ vip, reason }));
}
