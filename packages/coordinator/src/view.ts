// What a member believes of the cluster at one moment. Plain data: ownership is a pure function of it.
import type { Address, MemberName } from "@holdfast/model";
import type { Claim } from "./wire/message.ts";

/** dead covers "never heard" too; left said goodbye. */
export type MemberPhase = "alive" | "suspect" | "dead" | "left";

export interface MemberNetworkView {
  readonly network: string;
  readonly carrier: boolean;
  /** The member hears, and is heard by, another member there; or it hears a router. */
  readonly heard: boolean;
}

export interface MemberView {
  readonly name: MemberName;
  readonly number: number;
  readonly zone: string | undefined;
  readonly isSelf: boolean;
  readonly phase: MemberPhase;
  /** 0: never heard. */
  readonly incarnation: number;
  /** Set by the member's daemon: configuration loaded, data plane attached, … */
  readonly ready: boolean;
  readonly caughtUp: boolean;
  readonly draining: boolean;
  /** Came back from a wrong verdict a moment ago; takes nothing as long as others can. */
  readonly settling: boolean;
  /** false: its main loop has been silent for too long; its probe thread says so. */
  readonly mainAlive: boolean;
  readonly networks: readonly MemberNetworkView[];
  /** What it announces now. */
  readonly claims: readonly Claim[];
  /** VIPs whose addresses are on its own interfaces: it serves none of them. */
  readonly unserved: readonly Address[];
  /**
   * Milliseconds since it was heard, directly or by a witness, when the view was made; undefined: never. 0
   * for self.
   */
  readonly silentMs: number | undefined;
  /** Milliseconds in this phase. */
  readonly phaseForMs: number;
}

export interface ClusterView {
  readonly self: MemberName;
  /** Every configured member, by name. */
  readonly members: readonly MemberView[];
  /** Networks of this member on which it hears no other member. */
  readonly unheardNetworks: readonly string[];
  /** false: this member was frozen and has not yet heard what happened meanwhile; it must not announce. */
  readonly confirmed: boolean;
}

export function isPresent(member: MemberView): boolean {
  return member.phase === "alive" || member.phase === "suspect";
}
