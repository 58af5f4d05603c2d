import { type Clock, type Logger, silentLogger, systemClock } from "@holdfast/model";
import type { Announcer, AnnouncerKind } from "./announcer.ts";
import { BgpAnnouncer, type BgpOptions } from "./bgp/announcer.ts";
import { BirdSpeaker } from "./bgp/bird/speaker.ts";
import { CompositeAnnouncer } from "./composite.ts";
import type { InterfacePort } from "./interfaces.ts";
import { L2Announcer } from "./l2/announcer.ts";
import { type FrameSender, openPacketSocket } from "./l2/packet-socket.ts";
import { NoneAnnouncer } from "./none.ts";

export interface AnnouncerOptions {
  /** One kind, or several at once. */
  readonly kind: AnnouncerKind | readonly AnnouncerKind[];
  /** Needed by l2. */
  readonly interfaces?: InterfacePort;
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** Needed by bgp. */
  readonly bgp?: Pick<BgpOptions, "configuration" | "details"> & {
    readonly speaker: "bird" | "gobgp";
    /** The speaker's program, and a folder for its file and socket. */
    readonly program: string;
    readonly directory: string;
  };
  /** l2 only. Default: an AF_PACKET socket in the network namespace of this thread. */
  readonly sender?: FrameSender;
}

/**
 * Throws ANNOUNCER_NOT_PERMITTED when l2 may not open its packet socket, ANNOUNCER_SPEAKER_MISSING when bgp finds no
 * speaker.
 */
export async function startAnnouncer(options: AnnouncerOptions): Promise<Announcer> {
  const kinds = [options.kind].flat();
  const parts = await Promise.all(
    kinds.map((kind) => (kind === "bgp" ? startBgp(options) : createAnnouncer({ ...options, kind }))),
  );
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? only : new CompositeAnnouncer(parts);
}

async function startBgp(options: AnnouncerOptions): Promise<Announcer> {
  const { bgp } = options;
  if (bgp === undefined) throw new Error("bgp needs its configuration");
  const clock = options.clock ?? systemClock;
  const logger = (options.logger ?? silentLogger).child({ component: "announcer" });
  const { program, directory, configuration, details } = bgp;
  const parts = { program, directory, configuration, clock, logger };
  // Its client is loaded only where it is used.
  const speaker =
    bgp.speaker === "gobgp"
      ? new (await import("./bgp/gobgp/speaker.ts")).GobgpSpeaker(parts)
      : new BirdSpeaker(parts);
  await speaker.start();
  return new BgpAnnouncer({ speaker, configuration, details, clock, logger });
}

/** Those that need no process beside them. */
export function createAnnouncer(
  options: Omit<AnnouncerOptions, "kind"> & { readonly kind: Exclude<AnnouncerKind, "bgp"> },
): Announcer {
  const clock = options.clock ?? systemClock;
  const logger = (options.logger ?? silentLogger).child({ component: "announcer" });
  if (options.kind === "none") return new NoneAnnouncer(clock);
  const interfaces = options.interfaces ?? { list: () => [], onChange: () => () => {} };
  return new L2Announcer({ interfaces, clock, logger, sender: options.sender ?? openPacketSocket() });
}
