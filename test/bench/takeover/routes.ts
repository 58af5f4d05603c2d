// When routers went on to another member, read afterwards from what their kernels said of their routes.
import { createInterface } from "node:readline";
import { type Host, until } from "@holdfast/testkit";

/** A route of its own tells that the monitor listens. */
const MARK = "192.0.0.8";
const CHANGE = /^\[([^\]]+)\] (?!Deleted )(\S+) .*?via (?:inet6 )?(\S+)/;

export interface RouteWatch {
  /** Wall ms of the first route for `vip` to another next hop than these; undefined: there was none. */
  leftMs(vip: string, nextHops: readonly string[]): number | undefined;
  stop(): void;
}

export async function watchRoutes(router: Host): Promise<RouteWatch> {
  const lines: string[] = [];
  const child = router.spawn("ip", ["-N", "-ts", "monitor", "route"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  if (child.stdout !== null) createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
  await until(`${router.name}'s kernel to tell of routes`, () => {
    router.run("ip", ["route", "replace", "blackhole", MARK]);
    router.run("ip", ["route", "del", "blackhole", MARK]);
    return lines.some((line) => line.includes(MARK));
  });
  return {
    leftMs(vip, nextHops) {
      for (const line of lines) {
        const [, at = "", to, via = ""] = CHANGE.exec(line) ?? [];
        if (to === vip && !nextHops.includes(via)) return Date.parse(at);
      }
      return undefined;
    },
    stop: () => void child.kill("SIGKILL"),
  };
}
