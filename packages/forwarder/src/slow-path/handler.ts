// What the slow path knows of a protocol: what becomes of its packets. Each has a room beside this (sctp/).
import type { IpHeader } from "@holdfast/sctp";
import type { Punt } from "../fast-path/port.ts";

export interface ProtocolHandler {
  /**
   * A whole packet of the protocol, hostile or not; it is valid only during the call. `fragmentSize`: of the
   * fragments that it came in, undefined: it came whole. Never throws.
   */
  handle(punt: Punt, ip: IpHeader, fragmentSize: number | undefined): undefined;
}
