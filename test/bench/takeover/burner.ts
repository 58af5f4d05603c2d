import { type ChildProcess, spawn } from "node:child_process";

/** Something else that wants a processor, as much as it can get. It ends with this process at the latest. */
export function burner(): ChildProcess {
  const program = `setInterval(() => process.ppid === ${process.pid} || process.exit(), 100);
    setImmediate(function burn() { const end = Date.now() + 50; while (Date.now() < end); setImmediate(burn); });`;
  return spawn(process.execPath, ["-e", program], { stdio: "ignore" });
}
