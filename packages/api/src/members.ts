// The members, as one: every one of them answers for the whole cluster, so whoever answers is asked until it
// does not.
import { type ApiClient, ApiError, NOT_A_NODE, UNREACHABLE } from "./client.ts";

export interface MemberAddress {
  readonly name: string;
  readonly client: ApiClient;
}

export class Members {
  readonly #members: readonly MemberAddress[];
  #at = 0;
  readonly #onSwitch: (from: string, to: string, error: ApiError) => void;

  constructor(
    members: readonly MemberAddress[],
    onSwitch: (from: string, to: string, error: ApiError) => void = () => {},
  ) {
    if (members.length === 0) throw new RangeError("no member's address");
    this.#members = members;
    this.#onSwitch = onSwitch;
  }

  /** Who is asked first. */
  get current(): string {
    return this.#members[this.#at]?.name ?? "";
  }

  /**
   * Every request is one that may be made twice. Throws the last member's ApiError when nobody answers, and
   * at once what a member that does answer says.
   */
  async ask<T>(request: (client: ApiClient) => Promise<T>): Promise<T> {
    let failure: unknown;
    const first = this.#at;
    for (let tries = 0; tries < this.#members.length; tries++) {
      const at = (first + tries) % this.#members.length;
      const member = this.#members[at] as MemberAddress;
      try {
        const answer = await request(member.client);
        this.#at = at;
        return answer;
      } catch (error) {
        if (!(error instanceof ApiError && isAbsent(error))) throw error;
        failure = error;
        const next = this.#members[(at + 1) % this.#members.length] as MemberAddress;
        if (next !== member) this.#onSwitch(member.name, next.name, error);
      }
    }
    throw failure;
  }
}

/** Nobody is there, or nobody who can answer now. */
export function isAbsent(error: unknown): boolean {
  return (
    error instanceof ApiError &&
    (error.code === UNREACHABLE || error.code === NOT_A_NODE || error.status === 502 || error.status === 503)
  );
}
