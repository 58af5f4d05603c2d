// What the members offer together. A member that has not been heard since this one's start, and one that left
// no word of it, offers nothing: whoever might not understand decides.
import type { PeerIdentity } from "../ports/transport.ts";
import type { ReplicationSettings } from "./settings.ts";

export class Offers {
  readonly #settings: ReplicationSettings;
  /** As of each member's last greeting. */
  readonly #byMember = new Map<number, readonly string[]>();

  constructor(settings: ReplicationSettings) {
    this.#settings = settings;
  }

  greeted({ number, capabilities = [] }: PeerIdentity): void {
    this.#byMember.set(number, capabilities);
  }

  /** A number may be another member's now. */
  relist(): void {
    const listed = new Set(this.#settings.members.map(({ number }) => number));
    for (const number of [...this.#byMember.keys()]) if (!listed.has(number)) this.#byMember.delete(number);
  }

  of(member: number): readonly string[] | undefined {
    return this.#byMember.get(member);
  }

  /** By name, sorted. */
  together(): readonly string[] {
    const { member, members, capabilities } = this.#settings;
    const others = members.filter(({ number }) => number !== member.number);
    return capabilities
      .filter((name) => others.every(({ number }) => this.#byMember.get(number)?.includes(name) === true))
      .sort();
  }
}
