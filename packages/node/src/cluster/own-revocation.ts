// Whether this member's own certificate is revoked. The list says so; but who is cut off may never get the
// list on which it stands, since the others cut it off when they do. Then what they say when they refuse it
// counts.
import type { MemberName } from "@holdfast/model";

const REMEDY = "issue a new one, if it is to take part again";

export interface OwnRevocationParts {
  /** Names of the other members on the list. */
  readonly others: () => readonly MemberName[];
  /** `ok`: the certificate is not revoked, as far as is known. */
  readonly told: (ok: boolean, detail: string) => void;
}

export class OwnRevocation {
  readonly #parts: OwnRevocationParts;
  readonly #saidBy = new Set<MemberName>();
  #isListed = false;

  constructor(parts: OwnRevocationParts) {
    this.#parts = parts;
  }

  /** The list of revocations that this member has names its certificate, or does not. */
  setListed(isListed: boolean): void {
    this.#isListed = isListed;
    this.#judge();
  }

  /** A member refuses this one's certificate. */
  refusedBy(member: MemberName): void {
    this.#saidBy.add(member);
    this.#judge();
  }

  /** A member is connected: it believes the certificate. */
  believedBy(member: MemberName): void {
    if (this.#saidBy.delete(member)) this.#judge();
  }

  /** More than half of the others: one that lies, or has an old list, makes nobody unready. */
  #judge(): void {
    const others = this.#parts.others();
    const refusing = others.filter((name) => this.#saidBy.has(name));
    const verb = refusing.length === 1 ? "says" : "say";
    if (this.#isListed) this.#parts.told(false, `this member's certificate is revoked: ${REMEDY}`);
    else if (refusing.length * 2 > others.length)
      this.#parts.told(
        false,
        `this member's certificate is revoked, as ${refusing.join(" and ")} ${verb}: ${REMEDY}`,
      );
    else this.#parts.told(true, "it is not revoked");
  }
}
