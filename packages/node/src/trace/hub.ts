// Punted and dropped packets, for whoever traces. Without a reader it costs one comparison a packet.

export interface TracedPacket {
  /** Whole IP packet; valid only during the call. */
  readonly packet: Uint8Array;
  /** Why it is here: `punt init`, `drop wrongTag`. */
  readonly reason: string;
  readonly wallMs: number;
  /** 0 when unknown. */
  readonly interfaceIndex: number;
}

export interface TraceHub {
  /** true: somebody reads, `publish` is worth calling. */
  readonly active: boolean;
  publish(packet: TracedPacket): void;
  subscribe(listener: (packet: TracedPacket) => void): () => void;
  /** Called when the first reader comes (true) and the last one goes (false). */
  onActive(listener: (active: boolean) => void): void;
}

export function createTraceHub(): TraceHub {
  const listeners = new Set<(packet: TracedPacket) => void>();
  const watchers: ((active: boolean) => void)[] = [];
  return {
    get active() {
      return listeners.size > 0;
    },
    publish(packet) {
      for (const listener of [...listeners]) listener(packet);
    },
    subscribe(listener) {
      listeners.add(listener);
      if (listeners.size === 1) for (const watcher of watchers) watcher(true);
      return () => {
        if (listeners.delete(listener) && listeners.size === 0)
          for (const watcher of watchers) watcher(false);
      };
    },
    onActive: (listener) => watchers.push(listener),
  };
}
