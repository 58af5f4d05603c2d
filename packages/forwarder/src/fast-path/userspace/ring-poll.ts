// Waits for all rings with one blocked call on one of libuv's threads, a tenth of a second at most.
import { check, ERRNO, libc, SystemCallError } from "../../kernel/libc.ts";
import { SOL_SOCKET } from "../../kernel/numbers.ts";
import type { ReceiveRing } from "./receive-ring.ts";

const POLLIN = 1;
const POLLERR = 8;
const REVENTS_OFFSET = 6;
const SO_ERROR = 4;
const POLL_SIZE = 8;
const WAIT_MS = 100;
const EFD_CLOEXEC = 0o2000000;

export class RingPoll {
  #rings: readonly ReceiveRing[] = [];
  /** Those to wait for from the next time on, and who wants to know when that is. */
  #next: { readonly rings: readonly ReceiveRing[]; readonly taken: () => void } | undefined;
  readonly #turn: () => boolean;
  readonly #failed: (ring: ReceiveRing, errno: number) => void;
  /** struct pollfd each. A member, since the kernel writes into it while the event loop runs. */
  #fds = new Uint8Array();
  /** An eventfd behind the rings in the list: written to end a wait at once. */
  readonly #wake: number;
  #closing = false;
  #closed: () => void = () => {};
  readonly #done: Promise<void>;

  /**
   * `turn` handles what is there and says whether more waits; `failed` hears of an interface that went down.
   */
  constructor(
    rings: readonly ReceiveRing[],
    turn: () => boolean,
    failed: (ring: ReceiveRing, errno: number) => void,
  ) {
    this.#turn = turn;
    this.#failed = failed;
    this.#wake = check("eventfd", libc().eventfd(0, EFD_CLOEXEC));
    this.#setRings(rings);
    this.#done = new Promise((resolve) => {
      this.#closed = resolve;
    });
    this.#wait();
  }

  /** Other rings. Resolves when no thread looks at those that are left out, within a tenth of a second. */
  replace(rings: readonly ReceiveRing[]): Promise<void> {
    const before = this.#next?.taken;
    return new Promise((resolve) => {
      const taken = () => {
        before?.();
        resolve();
      };
      this.#next = { rings, taken };
    });
  }

  /** Resolves when no thread looks at the rings any more; they may be closed then. */
  async close(): Promise<void> {
    this.#closing = true;
    libc().write(this.#wake, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0), 8);
    await this.#done;
    this.#takeNext();
    libc().close(this.#wake);
  }

  #setRings(rings: readonly ReceiveRing[]): void {
    this.#rings = rings;
    const fds = [...rings.map((ring) => ring.fd), this.#wake];
    this.#fds = new Uint8Array(fds.length * POLL_SIZE);
    const view = new DataView(this.#fds.buffer);
    fds.forEach((fd, i) => {
      view.setInt32(i * POLL_SIZE, fd, true);
      view.setInt16(i * POLL_SIZE + 4, POLLIN, true);
    });
  }

  #takeNext(): void {
    if (this.#next === undefined) return;
    const { rings, taken } = this.#next;
    this.#next = undefined;
    this.#setRings(rings);
    taken();
  }

  #wait(): void {
    this.#takeNext();
    if (this.#closing) {
      this.#closed();
      return;
    }
    libc().poll.async(this.#fds, this.#rings.length + 1, WAIT_MS, (error: unknown, result: number) => {
      if (error) throw error;
      if (result < 0) {
        const failure = new SystemCallError("poll");
        if (failure.errno !== ERRNO["EINTR"]) throw failure;
      }
      if (result > 0) this.#clearErrors();
      this.#run();
    });
  }

  /**
   * An interface that goes down is reported until the error is read; when it comes up again, frames do, too.
   */
  #clearErrors(): void {
    const view = new DataView(this.#fds.buffer);
    this.#rings.forEach((ring, i) => {
      if ((view.getInt16(i * POLL_SIZE + REVENTS_OFFSET, true) & POLLERR) === 0) return;
      const value = new Uint8Array(4);
      libc().getsockopt(ring.fd, SOL_SOCKET, SO_ERROR, value, Uint8Array.of(4, 0, 0, 0));
      this.#failed(ring, new DataView(value.buffer).getInt32(0, true));
    });
  }

  #run(): void {
    if (this.#closing) {
      this.#closed();
      return;
    }
    // More to do: let timers and sockets have their turn, then go on without asking the kernel.
    if (this.#turn()) setImmediate(() => this.#run());
    else this.#wait();
  }
}
