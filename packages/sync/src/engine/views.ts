// The tables that a replica fills, one for each kind of session that this member forwards, as one: what a
// delta says of its protocol chooses the table, and afterwards the id does. What no table takes is carried
// (carried-facts.ts).
import {
  encodeWith,
  kindOfBytes,
  protocolOfBytes,
  type RemoteJoin,
  type SessionEnvelope,
  type SessionId,
  type SessionQuestion,
  type SessionView,
} from "@holdfast/model";

/** A table of any kind; only its own records reach it. */
// biome-ignore lint/suspicious/noExplicitAny: as above.
export type AnyView = SessionView<any>;

export interface KnownSession {
  readonly view: AnyView;
  readonly record: SessionEnvelope;
}

export class Views {
  readonly all: readonly AnyView[];
  /**
   * Facts without their identity may be any table's that knows the id; of an id that none knows they are the
   * first's.
   */
  readonly #first: AnyView;

  constructor(first: AnyView, further: readonly AnyView[] = []) {
    this.#first = first;
    this.all = [first, ...further];
  }

  /** undefined: no table takes the bytes. */
  joinBytes(bytes: Uint8Array): RemoteJoin | undefined {
    if (this.all.length === 1 && protocolOfBytes(bytes) === undefined)
      return this.#first.joinRemoteBytes(bytes);
    const kind = kindOfBytes(bytes);
    return this.all.find((view) => view.kind === kind)?.joinRemoteBytes(bytes);
  }

  /** As far as it is known, also without its identity. */
  known(id: SessionId): KnownSession | undefined {
    for (const view of this.all) {
      const record: SessionEnvelope | undefined = view.known(id);
      if (record !== undefined) return { view, record };
    }
    return undefined;
  }

  /** The bytes of `known`, not to be changed, and valid until its table changes. */
  bytesOf(id: SessionId): Uint8Array | undefined {
    for (const view of this.all) {
      const bytes = view.bytesOf(id);
      if (bytes !== undefined) return bytes;
    }
    return undefined;
  }

  /** The bytes of a record that is shown and has not ended, by the 16 bytes of its id; as `bytesOf`. */
  liveBytesOf(id: Uint8Array): Uint8Array | undefined {
    for (const view of this.all) {
      const bytes = view.liveBytesOf(id);
      if (bytes !== undefined) return bytes;
    }
    return undefined;
  }

  /** Records that answer a member's question, as bytes. */
  answer(question: SessionQuestion): Uint8Array[] {
    return this.all.flatMap((view) =>
      view.answer(question).map((record) => encodeWith<SessionEnvelope>(view.kind, record)),
    );
  }
}
