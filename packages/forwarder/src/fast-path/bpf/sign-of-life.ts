// The sign of life, for the thread that probes the other members: it says that this member is well enough to be
// asked. Nothing else is imported here, so that a worker thread loads it fast.
import { libbpf } from "../../kernel/libbpf.ts";
import { libc } from "../../kernel/libc.ts";
import { STATE } from "./abi.ts";
import { beat, readState } from "./state.ts";

/** The data of `FastPath.signOfLifeModule`: plain, so that a worker takes it. */
export interface SignOfLifeData {
  /** The state map, pinned; or undefined: `fd` counts, which the threads of one process share. */
  readonly path: string | undefined;
  readonly fd: number;
}

export interface SignOfLife {
  /** Some 2 µs. Call at least three times within the death verdict. */
  beat(): void;
  close(): void;
}

/** Throws when the pinned map is not there. */
export function open(data: SignOfLifeData): SignOfLife {
  const fd = data.path === undefined ? data.fd : libbpf().get(data.path);
  if (fd < 0) throw new Error(`the state map ${data.path} cannot be opened`);
  const value = readState(fd);
  if (value.length !== STATE.SIZE) throw new Error("the state map is of another version");
  return {
    beat: () => beat(fd, value),
    close: () => {
      if (data.path !== undefined) libc().close(fd);
    },
  };
}
