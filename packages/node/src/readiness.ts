// What keeps this member from being ready, by name. One line in the log when the answer changes.
import type { Health } from "@holdfast/api";
import type { Logger } from "@holdfast/model";

export class Readiness {
  readonly #checks = new Map<string, { ok: boolean; detail: string }>();
  readonly #logger: Logger;
  #ready = false;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  get ready(): boolean {
    return this.#ready;
  }

  set(name: string, ok: boolean, detail: string): void {
    const before = this.#checks.get(name);
    this.#checks.set(name, { ok, detail });
    if (before?.ok !== ok && before !== undefined)
      this.#logger.info({ check: name, ok, detail }, "readiness check changed");
    const ready = [...this.#checks.values()].every((check) => check.ok);
    if (ready === this.#ready) return;
    this.#ready = ready;
    this.#logger.info({ ready, check: name, detail }, ready ? "member is ready" : "member is not ready");
  }

  health(member: string, version: string): Health {
    return {
      status: this.#ready ? "ok" : "notReady",
      member,
      version,
      checks: [...this.#checks].map(([name, { ok, detail }]) => ({ name, ok, detail })),
    };
  }
}
