// ICMP echo. Its bytes are drawn for each request, so that nobody who did not see it can answer.
import type { Random } from "@holdfast/model";
import { ANSWERED, type Ask, type ProbeChannel, UNANSWERED } from "./probe.ts";

const NONCE_SIZE = 16;

export function pingProbes(channel: ProbeChannel, random: Random): Ask {
  const waiting = new Map<string, () => void>();
  channel.onEcho?.((payload) => {
    if (payload.length < NONCE_SIZE) return;
    const key = Buffer.from(payload.subarray(0, NONCE_SIZE)).toString("hex");
    const tell = waiting.get(key);
    waiting.delete(key);
    tell?.();
  });
  return ({ address }, tell) => {
    const nonce = random.bytes(NONCE_SIZE);
    const key = Buffer.from(nonce).toString("hex");
    waiting.set(key, () => tell(ANSWERED));
    if (channel.ping?.(address, nonce) !== true) {
      waiting.delete(key);
      tell({ kind: "missed", what: "not sent" });
    }
    return { cancel: () => waiting.delete(key), atTimeout: UNANSWERED };
  };
}
