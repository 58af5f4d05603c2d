// What members ask each other about the next list, and answer, as bytes.
import type { Answer, Problem, Question } from "./agreement.ts";
import { acceptedOf, ballotOf, changeOf } from "./stored-list.ts";

export const encode = (value: object) => new TextEncoder().encode(JSON.stringify(value));

/** Another member's words: an object, or undefined. */
export function decode(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

export function questionOf(value: Readonly<Record<string, unknown>> | undefined): Question | undefined {
  if (value === undefined) return undefined;
  const { kind, version, digest } = value;
  const ballot = ballotOf(value["ballot"]);
  const change = changeOf(value["change"]);
  if ((kind !== "prepare" && kind !== "accept") || ballot === undefined || change === undefined)
    return undefined;
  if (typeof version !== "number" || typeof digest !== "string") return undefined;
  return { kind, version, digest, ballot, change };
}

export function answerOf(value: Readonly<Record<string, unknown>> | undefined): Answer | undefined {
  if (value === undefined) return undefined;
  if (value["ok"] === true) {
    const accepted = acceptedOf(value["accepted"]);
    return accepted === undefined ? { ok: true } : { ok: true, accepted };
  }
  const { reason, round, problem } = value;
  return {
    ok: false,
    reason: typeof reason === "string" ? reason.slice(0, 500) : "it says no",
    ...(typeof round === "number" && Number.isSafeInteger(round) && { round }),
    ...problemAnswered(problem),
  };
}

/** Problems that members name to each other; others are told in words only. */
function problemAnswered(value: unknown): { readonly problem?: Problem } {
  if (typeof value !== "object" || value === null) return {};
  const { code, details } = value as { code?: unknown; details?: unknown };
  if (typeof details !== "object" || details === null) return {};
  const { seconds, number, reason } = details as Record<string, unknown>;
  if (typeof seconds !== "number") return {};
  if (code === "MEMBERS_SETTLING") return { problem: { code, details: { seconds } } };
  if (code !== "MEMBER_NUMBER_RESTS" || typeof number !== "number" || typeof reason !== "string") return {};
  return { problem: { code, details: { seconds, number, reason: reason.slice(0, 200) } } };
}
