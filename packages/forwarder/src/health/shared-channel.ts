// One channel for several probers: each hears all that arrives and knows its own; the last one closes it.
import type { ProbeChannel } from "./probe.ts";

type Listeners<Name extends "onPacket" | "onUnreachable" | "onEcho"> = Parameters<
  NonNullable<ProbeChannel[Name]>
>[0][];

export function shareChannel(channel: ProbeChannel, count: number): readonly ProbeChannel[] {
  const packet: Listeners<"onPacket"> = [];
  const unreachable: Listeners<"onUnreachable"> = [];
  const echo: Listeners<"onEcho"> = [];
  channel.onPacket((bytes) => {
    for (const listener of packet) listener(bytes);
  });
  channel.onUnreachable((to, quoted, refused) => {
    for (const listener of unreachable) listener(to, quoted, refused);
  });
  channel.onEcho?.((payload) => {
    for (const listener of echo) listener(payload);
  });
  let left = count;
  return Array.from({ length: count }, (): ProbeChannel => {
    let isOpen = true;
    return {
      send: (to, bytes) => channel.send(to, bytes),
      onPacket: (listener) => void packet.push(listener),
      onUnreachable: (listener) => void unreachable.push(listener),
      ...(channel.ping !== undefined && { ping: (to, payload) => channel.ping?.(to, payload) === true }),
      onEcho: (listener) => void echo.push(listener),
      close() {
        if (isOpen && --left === 0) channel.close();
        isOpen = false;
      },
    };
  });
}
