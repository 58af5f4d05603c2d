// What the slow path knows of a protocol: what becomes of its packets. Each has a room beside this (sctp/).
import type { IpHeader } from "@holdfast/sctp";
import type { FlowKey, Punt } from "../fast-path/port.ts";
import type { Opening } from "./plain/opening.ts";

export interface ProtocolHandler {
  /**
   * A whole packet of the protocol, hostile or not; it is valid only during the call. `fragmentSize`: of the
   * fragments that it came in, undefined: it came whole. Never throws.
   */
  handle(punt: Punt, ip: IpHeader, fragmentSize: number | undefined): undefined;
  /** A connection whose first packet is all that went to its endpoint; `key`: of what would come back. */
  opening?(key: FlowKey): Opening | undefined;
}
