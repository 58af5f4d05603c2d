// /version, /meta, /status, /config/params, /config/metrics, /auth.
import { readFileSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { arch, hostname, release, totalmem, type, uptime } from "node:os";
import type { FastifyInstance } from "fastify";
import type { LoxilbContext } from "./context.ts";
import { flagOf, foldKeys, objectOf, textOf } from "./fold.ts";
import { LoxilbError, omitEmpty, SUCCESS, sendJson } from "./reply.ts";

/** LoxiLB's log levels in ours. */
const LEVELS: Readonly<Record<string, string>> = {
  trace: "trace",
  debug: "debug",
  info: "info",
  notice: "info",
  warning: "warn",
  error: "error",
  critical: "error",
  alert: "error",
  emergency: "error",
};

function read(file: string): string {
  try {
    return readFileSync(file, "utf8").trim();
  } catch {
    return "";
  }
}

export interface MetricsSwitch {
  enabled: boolean;
}

export function systemRoutes(context: LoxilbContext, metrics: MetricsSwitch) {
  const { sources, logger } = context;
  const version = {
    version: `holdfast-${sources.version}`,
    buildInfo: `node ${process.version}, ${type()} ${release()}`,
  };
  const startedAtMs = sources.clock.nowMs();
  let logLevel: string | undefined;

  function processes() {
    const usage = process.resourceUsage();
    const cpuS = (usage.userCPUTime + usage.systemCPUTime) / 1e6;
    const runS = Math.max(0.001, (sources.clock.nowMs() - startedAtMs) / 1000);
    const memory = process.memoryUsage();
    const minutes = Math.floor(cpuS / 60);
    return [
      {
        pid: String(process.pid),
        user: process.getuid?.() === 0 ? "root" : String(process.getuid?.() ?? ""),
        priority: "20",
        nice: "0",
        virtMemory: read("/proc/self/statm").split(" ")[0] ?? "",
        residentSize: String(Math.round(memory.rss / 1024)),
        sharedMemory: String(Math.round(memory.external / 1024)),
        status: "R",
        CPUUsage: ((cpuS / runS) * 100).toFixed(1),
        MemoryUsage: ((memory.rss / totalmem()) * 100).toFixed(1),
        time: `${minutes}:${(cpuS % 60).toFixed(2).padStart(5, "0")}`,
        command: "holdfast",
      },
    ];
  }

  async function filesystems() {
    const mounts = read("/proc/self/mounts")
      .split("\n")
      .map((line) => line.split(" "))
      .filter(([source]) => source?.startsWith("/"))
      .slice(0, 64);
    const rows = await Promise.all(
      mounts.map(async ([fileSystem = "", mountedOn = "", kind = ""]) => {
        const found = await statfs(mountedOn).catch(() => undefined);
        if (found === undefined || found.blocks === 0) return [];
        const kib = (blocks: number) => String(Math.round((blocks * found.bsize) / 1024));
        const used = found.blocks - found.bfree;
        return [
          {
            fileSystem,
            type: kind,
            size: kib(found.blocks),
            used: kib(used),
            avail: kib(found.bavail),
            usePercent: `${Math.round((used / found.blocks) * 100)}%`,
            mountedOn,
          },
        ];
      }),
    );
    return rows.flat();
  }

  return async (app: FastifyInstance) => {
    // Health checks: kube-loxilb asks every two seconds and gives up on a node after one.
    app.get("/", async (_request, reply) => sendJson(reply, 200, SUCCESS));
    app.get("/version", async (_request, reply) => sendJson(reply, 200, version));
    app.get("/meta", async (_request, reply) => sendJson(reply, 200, version));
    app.get("/status/process", async (_request, reply) => sendJson(reply, 200, { processAttr: processes() }));
    app.get("/status/device", async (_request, reply) =>
      sendJson(
        reply,
        200,
        omitEmpty({
          hostName: hostname(),
          machineID: read("/etc/machine-id"),
          bootID: read("/proc/sys/kernel/random/boot_id"),
          OS: /^PRETTY_NAME="?([^"\n]*)/m.exec(read("/etc/os-release"))?.[1] ?? type(),
          kernel: release(),
          architecture: arch(),
          uptime: String(Math.floor(uptime())),
        }),
      ),
    );
    app.get("/status/filesystem", async (_request, reply) =>
      sendJson(reply, 200, { filesystemAttr: await filesystems() }),
    );
    app.get("/config/params", async (_request, reply) => {
      const own = context.configuration().log.level;
      const named = own === "warn" ? "warning" : own === "silent" ? "emergency" : own;
      return sendJson(reply, 200, { logLevel: logLevel ?? named });
    });
    app.post("/config/params", async (request, reply) => {
      const wanted = textOf(objectOf(foldKeys(request.body), "body"), "logLevel").toLowerCase();
      const level = LEVELS[wanted];
      if (level === undefined) throw new LoxilbError("malformed logLevel error");
      logLevel = wanted;
      logger.setLevel(level);
      return sendJson(reply, 200, SUCCESS);
    });
    app.get("/config/metrics", async (_request, reply) =>
      sendJson(reply, 200, { prometheus: metrics.enabled }),
    );
    app.post("/config/metrics", async (request, reply) => {
      metrics.enabled = flagOf(objectOf(foldKeys(request.body), "body"), "prometheus");
      return sendJson(reply, 200, SUCCESS);
    });
    app.delete("/config/metrics", async (_request, reply) => {
      metrics.enabled = false;
      return sendJson(reply, 200, SUCCESS);
    });
    // There are no users: a token is configured, or nothing is asked.
    app.post("/auth/login", async () => {
      throw new LoxilbError(
        "authentication failed: this node has no users; configure loxilb.token and send it",
      );
    });
    app.post("/auth/logout", async (_request, reply) => sendJson(reply, 200, SUCCESS));
  };
}
