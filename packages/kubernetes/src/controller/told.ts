// What was said already: an event comes when something becomes so, not each time that it is looked at.
import type { EventRecorder } from "../events.ts";
import type { KubernetesObject } from "../objects.ts";

export class Told {
  readonly #events: EventRecorder;
  /** By key, by subject: the text. */
  readonly #texts = new Map<string, Map<string, string>>();

  constructor(events: EventRecorder) {
    this.#events = events;
  }

  /** `about` tells apart what has the same reason. */
  warning(key: string, object: KubernetesObject, reason: string, text: string, about = ""): void {
    if (this.#isNew(key, `${reason}${about}`, text)) this.#events.warning(object, reason, text);
  }

  notes(
    key: string,
    object: KubernetesObject,
    notes: readonly { readonly reason: string; readonly message: string }[],
  ): void {
    const before = this.#texts.get(key)?.get("notes")?.split("\n") ?? [];
    if (!this.#isNew(key, "notes", notes.map(({ message }) => message).join("\n"))) return;
    for (const { reason, message } of notes)
      if (!before.includes(message)) this.#events.warning(object, reason, message);
  }

  /** `subject` starts with the reason. */
  texts(key: string, object: KubernetesObject, subject: string, texts: readonly string[]): void {
    const [reason = subject] = subject.split(" ");
    const before = this.#texts.get(key)?.get(subject)?.split("\n") ?? [];
    if (!this.#isNew(key, subject, texts.join("\n"))) return;
    for (const text of texts) if (!before.includes(text)) this.#events.warning(object, reason, text);
  }

  /** It is so no more. */
  clear(key: string, subject: string): void {
    this.#texts.get(key)?.delete(subject);
  }

  forget(key: string): void {
    this.#texts.delete(key);
  }

  #isNew(key: string, subject: string, text: string): boolean {
    const texts = this.#texts.get(key) ?? new Map<string, string>();
    this.#texts.set(key, texts);
    const isNew = (texts.get(subject) ?? "") !== text;
    texts.set(subject, text);
    return isNew;
  }
}
