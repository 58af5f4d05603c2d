// What keeps this member from being ready, by name. One line in the log when the answer changes.
import type { Health } from "@holdfast/api";
import type { Logger } from "@holdfast/model";

interface Check {
  readonly ok: boolean;
  readonly required: boolean;
  readonly detail: string;
}

export class Readiness {
  readonly #checks = new Map<string, Check>();
  readonly #logger: Logger;
  readonly #listeners: (() => void)[] = [];
  #ready = false;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  get ready(): boolean {
    return this.#ready;
  }

  /** The listener is called at once when the member becomes ready, or is so no more. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Whether it is ready but for one check. */
  readyBut(name: string): boolean {
    return [...this.#checks].every(([other, check]) => other === name || check.ok || !check.required);
  }

  /** Without it the member is not ready. */
  set(name: string, ok: boolean, detail: string): void {
    this.#note(name, { ok, required: true, detail });
    const ready = [...this.#checks.values()].every((check) => check.ok || !check.required);
    if (ready === this.#ready) return;
    this.#ready = ready;
    this.#logger.info({ ready, check: name, detail }, ready ? "member is ready" : "member is not ready");
    for (const listener of this.#listeners) listener();
  }

  /** Worth an operator's look; the member is ready all the same. */
  advise(name: string, ok: boolean, detail: string): void {
    this.#note(name, { ok, required: false, detail });
  }

  /** What is required and not so, the first of them in words. */
  get missing(): string | undefined {
    for (const [name, { ok, required, detail }] of this.#checks)
      if (required && !ok) return `${name}: ${detail}`;
    return undefined;
  }

  #note(name: string, check: Check): void {
    const before = this.#checks.get(name);
    this.#checks.set(name, check);
    const { ok, detail, required } = check;
    if (before === undefined ? ok || required : before.ok === ok) return;
    this.#logger[ok ? "info" : "warn"]({ check: name, ok, detail }, "readiness check changed");
  }

  health(member: string, version: string): Health {
    return {
      status: this.#ready ? "ok" : "notReady",
      member,
      version,
      checks: [...this.#checks].map(([name, check]) => ({ name, ...check })),
    };
  }
}
