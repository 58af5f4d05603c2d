// What LoxiLB's clients said that the configuration proper has no field for, kept at every member.
import type { ServiceId } from "@holdfast/model";
import type { ConfigurationStore, Note } from "../services/store.ts";
import type { PostedFields } from "./rule.ts";

const RULE = "loxilb/rule|";
/** Notes of one kind; beyond, those of services that are gone go first. */
const NOTE_COUNT_MAX = 2048;

/** The fields of rules that only LoxiLB's clients read. */
export class RuleNotes {
  readonly #store: ConfigurationStore;

  constructor(store: ConfigurationStore) {
    this.#store = store;
  }

  of(id: ServiceId): Partial<PostedFields> {
    return decode(this.#store.notes().get(RULE + id));
  }

  set(id: ServiceId, posted: Partial<PostedFields>): void {
    const name = RULE + id;
    const before = this.#store.notes().get(name);
    const note: Note = { ...posted };
    if (before !== undefined && JSON.stringify(decode(before)) === JSON.stringify(decode(note))) return;
    if (before === undefined) this.#makeRoom();
    this.#store.setNote(name, note);
  }

  #makeRoom(): void {
    const names = [...this.#store.notes().keys()].filter((name) => name.startsWith(RULE));
    if (names.length < NOTE_COUNT_MAX) return;
    for (const name of names)
      if (this.#store.service(name.slice(RULE.length)) === undefined) this.#store.setNote(name, undefined);
  }
}

/** Of any member's making: what is not understood is left out. */
function decode(note: Note | undefined): Partial<PostedFields> {
  const { mode, bgp, block, managed } = note ?? {};
  return {
    ...(typeof mode === "number" && { mode }),
    ...(typeof bgp === "boolean" && { bgp }),
    ...(typeof block === "number" && { block }),
    ...(typeof managed === "boolean" && { managed }),
  };
}
