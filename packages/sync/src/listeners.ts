// Who wants to hear what replication tells.
import type { SyncEvents } from "./sync.ts";

export class Listeners {
  readonly #all: { readonly [Name in keyof SyncEvents]: Set<SyncEvents[Name]> } = {
    state: new Set(),
    connected: new Set(),
    disconnected: new Set(),
    excluded: new Set(),
    revoked: new Set(),
    applied: new Set(),
    failed: new Set(),
  };

  add<Name extends keyof SyncEvents>(event: Name, listener: SyncEvents[Name]): () => void {
    this.#all[event].add(listener);
    return () => this.#all[event].delete(listener);
  }

  tell<Name extends keyof SyncEvents>(event: Name, ...what: Parameters<SyncEvents[Name]>): void {
    for (const listener of this.#all[event])
      (listener as (...what: Parameters<SyncEvents[Name]>) => void)(...what);
  }
}
