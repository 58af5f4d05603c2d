// The XDP program, loaded when somebody attaches it: verifying it is a good part of what loading costs, and a
// member whose interfaces are all veths has no use for it. It works over the maps of the programs that are
// there.
import assert from "node:assert/strict";
import { HoldfastError, type Logger } from "@holdfast/model";
import { libbpf } from "../../kernel/libbpf.ts";
import type { Pointer } from "../../kernel/libc.ts";
import { loadObject, openObject } from "./object.ts";

const PROGRAM = "holdfast_xdp";

export class XdpProgram {
  readonly #file: string;
  readonly #loaded: Pointer;
  readonly #log: Logger;
  #object: Pointer = null;
  #refused: string | undefined;

  /** `loaded`: an object of the same file, without this program. */
  constructor(file: string, loaded: Pointer, log: Logger) {
    this.#file = file;
    this.#loaded = loaded;
    this.#log = log;
  }

  /** undefined: the kernel refuses it; the reason is in the log. */
  get fd(): number | undefined {
    if (this.#refused !== undefined) return undefined;
    try {
      this.#object ??= loadObject(() => this.#open());
    } catch (error) {
      if (!(error instanceof HoldfastError) || error.code !== "BPF_LOAD_FAILED") throw error;
      // The verifier may know less than this one on older kernels: TC alone is enough to work.
      this.#refused = String(error.details["reason"]);
      this.#log.warn({ reason: this.#refused }, "this kernel refuses the XDP program: TC only");
      return undefined;
    }
    const bpf = libbpf();
    return bpf.programFd(bpf.findProgram(this.#object, PROGRAM));
  }

  /** Why the kernel refused it. */
  get refused(): string | undefined {
    return this.#refused;
  }

  close(): void {
    if (this.#object !== null) libbpf().objectClose(this.#object);
    this.#object = null;
  }

  #open(): Pointer {
    const bpf = libbpf();
    const object = openObject(this.#file);
    let theirs = bpf.nextMap(this.#loaded, null);
    // The same file: its maps come in the same order, constants among them.
    for (let own = bpf.nextMap(object, null); own !== null; own = bpf.nextMap(object, own)) {
      const result = bpf.mapReuse(own, bpf.mapFd(theirs));
      assert.equal(result, 0, `map ${bpf.mapName(own)} is shared`);
      theirs = bpf.nextMap(this.#loaded, theirs);
    }
    for (const name of ["holdfast_tc", "holdfast_clock"])
      bpf.programSetAutoload(bpf.findProgram(object, name), false);
    return object;
  }
}
