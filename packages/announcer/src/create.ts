import { type Clock, type Logger, silentLogger, systemClock } from "@holdfast/model";
import type { Announcer, AnnouncerKind } from "./announcer.ts";
import type { InterfacePort } from "./interfaces.ts";
import { L2Announcer } from "./l2/announcer.ts";
import { type FrameSender, openPacketSocket } from "./l2/packet-socket.ts";
import { NoneAnnouncer } from "./none.ts";

export interface AnnouncerOptions {
  readonly kind: AnnouncerKind;
  /** Needed by l2. */
  readonly interfaces?: InterfacePort;
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** l2 only. Default: an AF_PACKET socket in the network namespace of this thread. */
  readonly sender?: FrameSender;
}

/** Throws ANNOUNCER_NOT_PERMITTED when l2 may not open its packet socket. */
export function createAnnouncer(options: AnnouncerOptions): Announcer {
  const clock = options.clock ?? systemClock;
  const logger = (options.logger ?? silentLogger).child({ component: "announcer" });
  if (options.kind === "none") return new NoneAnnouncer(clock);
  const interfaces = options.interfaces ?? { list: () => [], onChange: () => () => {} };
  return new L2Announcer({ interfaces, clock, logger, sender: options.sender ?? openPacketSocket() });
}
