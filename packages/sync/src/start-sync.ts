// Composes replication: the engine's thread, the view's side of it, the shared configuration, questions
// between nodes.
import { checkIdentity } from "./identity-check.ts";
import { type Runner, runHosted, runInline, runThread } from "./runners.ts";
import { type LastStatus, RunningSync } from "./running-sync.ts";
import type { Sync, SyncOptions } from "./sync.ts";
import { ViewSide } from "./view-side.ts";
import type { HostOptions } from "./worker/protocol.ts";

/**
 * Resolves when the engine listens, the view is attached and the stored configuration is there; `ready()`
 * becomes true later. Errors: those of `verifyMemberCertificate`, SYNC_NUMBER_MISMATCH,
 * SYNC_NUMBER_OUT_OF_RANGE, SYNC_LISTEN_FAILED, STORE_DIRECTORY_UNUSABLE, SYNC_WORKER_FAILED.
 */
export async function startSync(options: SyncOptions): Promise<Sync> {
  checkIdentity(options);
  const side = new ViewSide(options);
  const last: LastStatus = { status: undefined };
  const runner = await run(options, side, last);
  if ((options.join ?? []).length > 0) side.tellMembers();
  // Whoever asks for the services next gets those of the earlier life: a lone member has nobody else to ask.
  await side.configuration.loaded;
  return new RunningSync(options, side, runner, last);
}

function run(options: SyncOptions, side: ViewSide, last: LastStatus): Promise<Runner> {
  const { link } = side;
  if (options.host !== undefined) return runHosted(options.host, link);
  if (options.thread === "inline") return runInline(hostOptionsOf(options), options, link);
  return runThread(hostOptionsOf(options), options, link, {
    unlinked: () => {
      last.status = undefined;
      side.unlinked();
    },
    restarted: () => side.restarted(),
    answers: (does) => {
      side.answers = does;
    },
    failed: (error) => {
      options.logger.error({ code: error.code, remedy: error.remedy }, error.message);
      side.listeners.tell("failed", error);
    },
  });
}

function hostOptionsOf(options: SyncOptions): HostOptions {
  return {
    clusterId: options.clusterId,
    memberName: options.memberName,
    memberNumber: options.memberNumber,
    memberNumberCount: options.memberNumberCount,
    listen: options.listen,
    members: options.members,
    ...(options.join !== undefined && { join: options.join }),
    tls: options.tls,
    storeDirectory: options.storeDirectory,
    settings: options.settings ?? {},
    timing: options.timing ?? {},
    queueBytesMax: options.queueBytesMax,
  };
}
