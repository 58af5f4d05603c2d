// What members say to each other in JSON, and telling it until it is heard.
import type { ClusterLink } from "./link.ts";

/** Of one message to one member; each waits for an answer. */
const ATTEMPT_COUNT_MAX = 3;

export function encodeWords(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

/** Another member's message, whatever it is; undefined: no JSON. */
export function decodeWords(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}

/**
 * Tells a member what is true now, each time it is tried; `current` gives undefined when there is nothing to
 * tell any more. A connection that breaks is made good by the next one.
 */
export async function tell(
  link: Pick<ClusterLink, "connected" | "request">,
  member: number,
  topic: string,
  current: () => unknown,
): Promise<void> {
  for (let i = 0; i < ATTEMPT_COUNT_MAX && link.connected().includes(member); i++) {
    const value = current();
    if (value === undefined) return;
    if ((await link.request(member, topic, encodeWords(value))) !== undefined) return;
  }
}
