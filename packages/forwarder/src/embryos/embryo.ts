// An embryo: one client's INIT that this member forwarded, until the handshake is done or given up. It stays
// with this member; replication hears of it at INIT-ACK, or under a flood at COOKIE-ECHO.
import { type Address, type Endpoint, type SessionId, sessionIdOf, type Tag } from "@holdfast/model";
import type { Loan } from "../nat-ports/lending.ts";
import type { ServiceEntry } from "../services/registry.ts";
import type { Aged } from "./age-list.ts";

export interface Embryo extends Aged<Embryo> {
  /** Tag, port, smallest address and service: the same for its retransmissions, whatever they come from. */
  readonly key: string;
  /** Smallest address of the INIT before the filter. */
  readonly smallest: Address;
  /** The session that it wants to restart; undefined: a new one. */
  readonly restartOf: SessionId | undefined;
  readonly entry: ServiceEntry;
  readonly clientPort: number;
  readonly clientTag: Tag;
  readonly arrivalVip: number;
  readonly source: Address;
  /** Where the latest INIT came from, and on which VIP: INIT-ACKs go nowhere else. */
  lastSource: Address;
  lastVip: number;
  /** After the filter. */
  readonly listed: readonly Address[];
  /** Further addresses that it may send from (path-mapping/client-filter.ts). */
  readonly unrouted: readonly Address[];
  readonly pairing: readonly Address[];
  readonly prefix: string;
  readonly createdMs: number;
  endpoint: Endpoint;
  natPort: number;
  /** The port is the client's own, and was lent. */
  loan: Loan | undefined;
  /** The port was allocated for this embryo, and goes back with it unless a session holds it. */
  ownsPort: boolean;
  /** INITs forwarded to `endpoint` since it was chosen. */
  initCount: number;
  lastInitMs: number;
  /** First INIT-ACK; undefined while unanswered. */
  answeredMs: number | undefined;
  /** Tags of INIT-ACKs when replication is put off. */
  endpointTags: Tag[];
  /** Further addresses of the endpoint from its INIT-ACK, when replication is put off. */
  endpointAddresses: Address[];
  echoed: boolean;
  /** The table holds it. */
  published: boolean;
  /** Endpoints that did not answer. */
  tried: Set<Endpoint> | undefined;
}

/** Whether the INIT named the address. */
export function isClientOf({ source, listed, unrouted }: Embryo, address: Address): boolean {
  return source === address || listed.includes(address) || unrouted.includes(address);
}

/**
 * The session that it belongs to, or will. Not computed before it has to be: a flood's embryos never need it.
 */
export function sessionIdOfEmbryo(embryo: Embryo): SessionId {
  const { entry, clientPort, clientTag, smallest } = embryo;
  return embryo.restartOf ?? sessionIdOf(entry.service.id, clientPort, clientTag, smallest, []);
}
