// The list of revoked certificates: notes of the shared configuration, so that every member has it and keeps
// it.
import type { RevocationView } from "@holdfast/api";
import { type Clock, HoldfastError } from "@holdfast/model";
import { REVOCATION_COUNT_MAX, type Revocation, serialOf } from "@holdfast/sync";
import type { ConfigurationStore, Note } from "../services/store.ts";

/** In the name of a note: what the entry is about follows. */
const SERIAL = "revoked/serial/";
const MEMBER = "revoked/member/";

export class Revocations {
  readonly #store: Pick<ConfigurationStore, "notes" | "setNote" | "subscribe">;
  readonly #clock: Clock;
  #text = "";

  constructor(store: Pick<ConfigurationStore, "notes" | "setNote" | "subscribe">, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  list(): RevocationView[] {
    const views: RevocationView[] = [];
    for (const [name, note] of this.#store.notes()) {
      const at = timeOf(note);
      if (name.startsWith(SERIAL)) {
        const serial = serialOf(name.slice(SERIAL.length));
        if (serial !== undefined) views.push({ id: `serial:${serial}`, serial, at });
      } else if (name.startsWith(MEMBER)) {
        const member = name.slice(MEMBER.length);
        views.push({ id: `member:${member}`, member, at });
      }
    }
    return views.sort((a, b) => (a.id < b.id ? -1 : 1)).slice(0, REVOCATION_COUNT_MAX);
  }

  /** As certificates are judged by it. */
  entries(): Revocation[] {
    return this.list().map(({ serial, member, at }) =>
      serial !== undefined
        ? { kind: "serial", serial }
        : { kind: "member", memberName: member ?? "", untilMs: Date.parse(at) },
    );
  }

  /** One certificate by its serial number, or all of a member that were issued until now. Idempotent. */
  add(what: { readonly serial: string } | { readonly member: string }): RevocationView {
    const [name, id] = namesOf(what);
    const known = this.#store.notes().get(name);
    if (known === undefined && this.#count() >= REVOCATION_COUNT_MAX)
      throw new HoldfastError("REVOCATION_COUNT_EXCEEDED", { limit: REVOCATION_COUNT_MAX });
    // A member that was revoked before may have got a new certificate since, and lost that too.
    const note = known === undefined || "member" in what ? { atMs: Math.floor(this.#clock.wallMs()) } : known;
    if (note !== known) this.#store.setNote(name, note);
    return { id, ...what, ...("serial" in what && { serial: id.slice("serial:".length) }), at: timeOf(note) };
  }

  #count(): number {
    let count = 0;
    for (const name of this.#store.notes().keys())
      if (name.startsWith(SERIAL) || name.startsWith(MEMBER)) count++;
    return count;
  }

  /** Takes it back. Throws REVOCATION_NOT_FOUND. */
  remove(id: string): void {
    if (!this.list().some((view) => view.id === id)) throw new HoldfastError("REVOCATION_NOT_FOUND", { id });
    const name = id.startsWith("serial:") ? `${SERIAL}${id.slice(7)}` : `${MEMBER}${id.slice(7)}`;
    this.#store.setNote(name, undefined);
  }

  /** Calls now, and whenever the list is another one. */
  follow(listener: (entries: readonly Revocation[]) => void): () => void {
    const look = () => {
      const entries = this.entries();
      const text = JSON.stringify(entries);
      if (text === this.#text) return;
      this.#text = text;
      listener(entries);
    };
    look();
    return this.#store.subscribe(look);
  }
}

function timeOf(note: Note): string {
  const atMs = note["atMs"];
  // What no clock can say (ECMA-262, time values) is a member's that lies.
  return new Date(typeof atMs === "number" && Math.abs(atMs) <= 8.64e15 ? atMs : 0).toISOString();
}

function namesOf(
  what: { readonly serial: string } | { readonly member: string },
): [note: string, id: string] {
  if ("member" in what) return [`${MEMBER}${what.member}`, `member:${what.member}`];
  const serial = serialOf(what.serial);
  if (serial === undefined)
    throw new HoldfastError("REQUEST_INVALID", {
      reason: `'${what.serial}' is no serial number`,
      remedy: "Send it in hexadecimal, as 'openssl x509 -serial -noout' shows it.",
    });
  return [`${SERIAL}${serial}`, `serial:${serial}`];
}
