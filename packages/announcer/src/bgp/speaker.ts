// The port behind which a routing daemon speaks BGP for this member. BIRD here; every speaker passes the same tests.
import type { SessionState } from "../announcer.ts";
import type { BgpConfiguration, SpeakerRoute } from "./configuration.ts";

export interface SpeakerSession {
  readonly session: SessionState;
  readonly bfd: "Up" | "Down" | "Init" | "AdminDown" | undefined;
  readonly info: string;
}

export interface SpeakerState {
  readonly running: boolean;
  /** Why routes do not leave as ordered ("the speaker does not answer"); undefined: they do. */
  readonly trouble: string | undefined;
  /** By router name. */
  readonly sessions: ReadonlyMap<string, SpeakerSession>;
  /** How often the speaker had to be started again. */
  readonly restartCount: number;
  /** It has real-time priority, which keeps BFD alive on a busy machine. */
  readonly isRealtime: boolean;
  /** The lowest port that its BFD may send from; undefined: as RFC 5881 wants, or not known. */
  readonly sourcePortMin: number | undefined;
}

export interface Speaker {
  /** "BIRD 2.0.12"; empty until it has said so. */
  readonly version: string;
  /** Makes it speak. Resolves when it answers; throws ANNOUNCER_SPEAKER_MISSING when there is none on this machine. */
  start(): Promise<void>;
  /**
   * Exactly these routes. Resolves when the speaker has taken them, or after a limit; they are ordered again after every
   * restart of the speaker. `configuration`: other routers or attributes, in the same order.
   */
  apply(routes: readonly SpeakerRoute[], configuration?: BgpConfiguration): Promise<void>;
  state(): SpeakerState;
  onState(listener: () => void): void;
  /** `graceful`: routers are told. */
  stop(options: { readonly graceful: boolean }): Promise<void>;
}
