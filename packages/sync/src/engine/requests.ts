// Requests between nodes: the engine carries them and does not know what they are about. Nobody answers for
// another, and not everything is answered: of what waits, the oldest goes when there is too much.
import type { ToEngine, ToView } from "../ports/link.ts";
import type { PeerMessage } from "../ports/messages.ts";
import { WAITING_COUNT_MAX } from "./settings.ts";

export interface RequestPorts {
  readonly post: (message: ToView) => void;
  readonly send: (peer: number, message: PeerMessage) => boolean;
}

export class Requests {
  readonly #ports: RequestPorts;
  /** Requests of other members under way in the node: our token → who asked, and its id. */
  readonly #theirs = new Map<number, { readonly peer: number; readonly id: number }>();
  /** Requests of our node: token → the member that was asked, and may answer. */
  readonly #ours = new Map<number, number>();
  #next = 1;

  constructor(ports: RequestPorts) {
    this.#ports = ports;
  }

  /** Our node asks a member; one that is not there has no answer, at once. */
  ask({ token, member, topic, body }: Extract<ToEngine, { kind: "request" }>): void {
    if (this.#ports.send(member, { kind: "request", id: token, topic, body }))
      keepNewest(this.#ours, token, member);
    else this.#ports.post({ kind: "response", token, body: undefined });
  }

  /** The member answers. */
  answered(peer: number, { id, body }: Extract<PeerMessage, { kind: "response" }>): void {
    if (this.#ours.get(id) !== peer) return;
    this.#ours.delete(id);
    this.#ports.post({ kind: "response", token: id, body });
  }

  /** A member asks our node. */
  asked(peer: number, { id, topic, body }: Extract<PeerMessage, { kind: "request" }>): void {
    const token = this.#next++;
    keepNewest(this.#theirs, token, { peer, id });
    this.#ports.post({ kind: "request", token, from: peer, topic, body });
  }

  /** Our node answers. */
  answer({ token, body }: Extract<ToEngine, { kind: "response" }>): void {
    const request = this.#theirs.get(token);
    if (request === undefined) return;
    this.#theirs.delete(token);
    this.#ports.send(request.peer, { kind: "response", id: request.id, body });
  }

  /** Whoever asked waits no longer. */
  disconnected(peer: number): void {
    for (const [token, request] of this.#theirs) if (request.peer === peer) this.#theirs.delete(token);
  }
}

/** Sets, and lets the oldest entry go when there are too many. */
function keepNewest<K, V>(map: Map<K, V>, key: K, value: V): void {
  map.set(key, value);
  if (map.size <= WAITING_COUNT_MAX) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    break;
  }
}
