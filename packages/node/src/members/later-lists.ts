// What strangers say of a later list of members that this one is on: they dialled it as one of theirs, with a
// certificate of the cluster. Whoever lost its disk, or was off for long, and finds nobody of its own list
// any more, learns from them that its list is old (docs/decisions/0620).
import { type MemberList, majorityOf } from "@holdfast/model";

export class LaterLists {
  #awaited = 0;
  #wasBelieved = false;

  /** The list that is waited for has this version or a later one; 0: the own list stands. */
  get awaited(): number {
    return this.#awaited;
  }

  /**
   * Whether the own list is old, as a stranger with the list `version` says. While a majority of the own list
   * is there, nobody else has a say: they would know of a later one, and a stranger may have left for good
   * reason. Once strangers were right in this life it need not be so: those of the list that was taken from
   * one may be who left.
   */
  believes(version: number, list: MemberList, own: number, connected: readonly number[]): boolean {
    if (version <= list.version) return false;
    const others = list.members.filter(({ number }) => number !== own && connected.includes(number));
    const isConfirmed = others.length > 0 && others.length + 1 >= majorityOf(list);
    if (isConfirmed && !this.#wasBelieved) return false;
    this.#awaited = version;
    this.#wasBelieved = true;
    return true;
  }

  /** The list is there. */
  found(): void {
    this.#awaited = 0;
  }
}
