// Names of journal writers: 32 hexadecimal digits of member number (2 bytes), incarnation counter (6), random
// (8).
import type { Random } from "@holdfast/model";
import type { Actor } from "../ports/journals.ts";
import { MEMBER_COUNT_MAX } from "../ports/limits.ts";

const COUNTER_MAX = 2 ** 48 - 1;

export function actorOf(member: number, counter: number, random: Random): Actor {
  const noise = Array.from(random.bytes(8), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${member.toString(16).padStart(4, "0")}${counter.toString(16).padStart(12, "0")}${noise}`;
}

export function memberOf(actor: Actor): number {
  return Number.parseInt(actor.slice(0, 4), 16);
}

/** Greater is a later incarnation of the same member. */
export function counterOf(actor: Actor): number {
  return Number.parseInt(actor.slice(4, 16), 16);
}

/** Whether a peer's text names a writer that can be. */
export function isActor(text: string): boolean {
  return /^[0-9a-f]{32}$/.test(text) && memberOf(text) < MEMBER_COUNT_MAX && counterOf(text) < COUNTER_MAX;
}

/**
 * Automerge's actor of one segment's document: the writer and the segment number, so that no change fits
 * another.
 */
export function documentActorOf(actor: Actor, segment: number): string {
  return actor + segment.toString(16).padStart(8, "0");
}
