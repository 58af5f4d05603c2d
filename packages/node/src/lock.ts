// One daemon for one data plane. An abstract unix socket is the lock: it is of this network namespace, as the data plane
// is, and the kernel frees it when the process ends, however it ends.
import { createServer } from "node:net";
import { HoldfastError } from "@holdfast/model";

/** Resolves to what frees the lock. Throws DAEMON_RUNNING. */
export function lockDataPlane(pinDirectory: string): Promise<() => Promise<void>> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.unref();
    server.once("error", (cause) => {
      const taken = (cause as NodeJS.ErrnoException).code === "EADDRINUSE";
      reject(taken ? new HoldfastError("DAEMON_RUNNING", { pinDirectory }) : cause);
    });
    server.listen({ path: `\0holdfast:${pinDirectory}` }, () =>
      resolve(() => new Promise((closed) => server.close(() => closed()))),
    );
  });
}
