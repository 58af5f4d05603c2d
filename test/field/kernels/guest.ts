// A machine with another kernel, emulated, whose file system is this one's, read-only.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { until } from "@holdfast/testkit";

const REPOSITORY = fileURLToPath(new URL("../../../", import.meta.url));
const KERNELS = join(REPOSITORY, ".cache/guests");
const SETUP = join(REPOSITORY, "deploy/setup/guests.sh");
const GUEST = fileURLToPath(new URL("guest.sh", import.meta.url));
const FILE_SERVER = "/usr/lib/qemu/virtiofsd";
const MEMORY_MIB = 1536;
/** Of what a guest prints, the last so many characters are kept. */
const OUTPUT_LENGTH_MAX = 1_000_000;

/** Fetches what is missing. Names of the kernels that there are. */
export function kernels(): readonly string[] {
  return execFileSync("bash", [SETUP], { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] })
    .trim()
    .split("\n");
}

export interface GuestResult {
  readonly code: number | undefined;
  readonly output: string;
}

/** Runs a shell command in a machine with the kernel, in the repository's directory. */
export async function runInGuest(kernel: string, command: string, limitMs: number): Promise<GuestResult> {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-guest-"));
  const socket = join(directory, "files");
  const files = spawn(
    FILE_SERVER,
    [`--socket-path=${socket}`, "-o", "source=/", "-o", "cache=always", "-o", "sandbox=chroot"],
    { stdio: "ignore" },
  );
  let machine: ChildProcess | undefined;
  try {
    await until("the file server", () => existsSync(socket), 10_000, 20);
    machine = spawn("qemu-system-x86_64", machineArguments(kernel, socket, command), {
      stdio: ["ignore", "pipe", "ignore"],
    });
    return await resultOf(machine, limitMs);
  } finally {
    machine?.kill("SIGKILL");
    files.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  }
}

function machineArguments(kernel: string, socket: string, command: string): string[] {
  const own = join(KERNELS, kernel);
  const words = [
    "console=ttyS0 quiet panic=-1",
    `holdfast.guest=${GUEST}`,
    `holdfast.modules=${join(own, "modules")}`,
    `holdfast.directory=${REPOSITORY}`,
    `holdfast.command=${Buffer.from(command).toString("base64")}`,
  ];
  return [
    // One processor: with several, QEMU's translator runs V8's freshly written code before it is there, now
    // and then.
    ...["-machine", "q35,accel=tcg", "-cpu", "max", "-smp", "1", "-m", String(MEMORY_MIB)],
    ...["-object", `memory-backend-memfd,id=memory,size=${MEMORY_MIB}M,share=on`],
    ...["-numa", "node,memdev=memory"],
    ...["-chardev", `socket,id=files,path=${socket}`],
    ...["-device", "vhost-user-fs-pci,queue-size=1024,chardev=files,tag=host"],
    ...["-kernel", join(own, "vmlinuz"), "-initrd", join(own, "initrd"), "-append", words.join(" ")],
    ...["-nic", "none", "-nographic", "-no-reboot"],
  ];
}

function resultOf(machine: ChildProcess, limitMs: number): Promise<GuestResult> {
  return new Promise((resolve) => {
    let output = "";
    const limit = setTimeout(() => machine.kill("SIGKILL"), limitMs);
    machine.stdout?.on("data", (bytes: Buffer) => {
      output = (output + bytes.toString("utf8")).slice(-OUTPUT_LENGTH_MAX);
    });
    machine.on("close", () => {
      clearTimeout(limit);
      const code = /guest: exit (\d+)/.exec(output)?.[1];
      resolve({ code: code === undefined ? undefined : Number(code), output });
    });
  });
}
