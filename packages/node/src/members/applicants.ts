// Who has come with a certificate of the cluster and is on no list: it is heard again and again until somebody
// adds it.
import {
  type Address,
  type Clock,
  HoldfastError,
  type ListedMember,
  type MemberList,
  type MemberName,
} from "@holdfast/model";
import type { Applicant } from "@holdfast/sync";

/** One applicant is looked at so often. */
const PERIOD_MS = 5_000;
/** What it said is forgotten: it comes every few seconds (`refusalPauseMs`) while it runs. */
const MEMORY_MS = 60_000;
const COUNT_MAX = 64;

interface Known extends Pick<Applicant, "number"> {
  /** Where it came from, and what its certificate has. */
  readonly addresses: readonly Address[];
  readonly heardAtMs: number;
  readonly lookedAtMs: number;
}

export class Applicants {
  readonly #clock: Clock;
  readonly #known = new Map<MemberName, Known>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** True when it is to be looked at. */
  heard({ name, number, addresses: certified, from }: Applicant): boolean {
    const nowMs = this.#clock.nowMs();
    const before = this.#known.get(name);
    const isDue = before === undefined || nowMs - before.lookedAtMs >= PERIOD_MS;
    if (before === undefined && this.#known.size >= COUNT_MAX) this.#known.clear();
    const lookedAtMs = isDue ? nowMs : before.lookedAtMs;
    const addresses = [...new Set([...(from === undefined ? [] : [from]), ...certified])];
    this.#known.set(name, { number, addresses, heardAtMs: nowMs, lookedAtMs });
    return isDue;
  }

  /**
   * Throws MEMBER_NUMBER_DIFFERS and MEMBER_ADDRESS_DIFFERS when it is there and is not what somebody takes it for;
   * MEMBER_UNHEARD when nobody has come and the list has one member: of two both must agree to every change, also
   * to one that takes a mistake back.
   */
  mustFit(member: ListedMember, { members }: Pick<MemberList, "members">): void {
    const { name, number } = member;
    const known = this.#known.get(name);
    const isFresh = known !== undefined && this.#clock.nowMs() - known.heardAtMs <= MEMORY_MS;
    if (isFresh) {
      if (known.number !== number)
        throw new HoldfastError("MEMBER_NUMBER_DIFFERS", { member: name, number, certified: known.number });
      if (!member.addresses.some(({ address }) => known.addresses.includes(address)))
        throw new HoldfastError("MEMBER_ADDRESS_DIFFERS", {
          member: name,
          addresses: known.addresses.join(", "),
        });
      return;
    }
    const [only, ...rest] = members;
    if (only !== undefined && rest.length === 0 && only.name !== name)
      throw new HoldfastError("MEMBER_UNHEARD", { member: name, only: only.name });
  }
}
