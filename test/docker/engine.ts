// A Docker engine for the tests: the machine's own when there is one, else one that lab/lab sets up in a
// namespace.
import { execFileSync, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const TOP = fileURLToPath(new URL("../..", import.meta.url));
const LAB = fileURLToPath(new URL("lab/lab", import.meta.url));
const OUTPUT_MAX = 64 * 1024 * 1024;

const works = (command: string, ...words: string[]) =>
  spawnSync(command, words, { stdio: "ignore" }).status === 0;

export class Engine {
  readonly #lab: boolean;
  readonly #compose: readonly string[];

  readonly #file: string;

  private constructor(lab: boolean, compose: readonly string[], file: string) {
    this.#file = file;
    this.#lab = lab;
    this.#compose = compose;
  }

  static open(file = "deploy/docker/compose.yaml"): Engine {
    if (works("docker", "info")) {
      if (works("docker", "compose", "version")) return new Engine(false, ["docker", "compose"], file);
      if (works("docker-compose", "version")) return new Engine(false, ["docker-compose"], file);
      throw new Error(
        "a Docker engine runs here, but neither 'docker compose' nor 'docker-compose' does: install one",
      );
    }
    console.error("no Docker engine runs here: setting one up in a namespace of its own");
    execFileSync("bash", [LAB, "up"], { stdio: ["ignore", "inherit", "inherit"] });
    return new Engine(true, ["docker-compose"], file);
  }

  #run(command: string, words: readonly string[]): string {
    const [program, all] = this.#lab ? ["bash", [LAB, "run", command, ...words]] : [command, words];
    return execFileSync(program, all, {
      cwd: TOP,
      encoding: "utf8",
      maxBuffer: OUTPUT_MAX,
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  build(target: string, tag: string): void {
    // The lab's engine reaches no registry: its base image has the name, and no digest of one.
    const base = this.#lab ? ["--build-arg", "NODE_IMAGE=node:24-bookworm-slim"] : [];
    const words = ["-f", "deploy/docker/Dockerfile", "--target", target, ...base, "-t", tag, "."];
    const [program, all] = this.#lab ? ["bash", [LAB, "build", ...words]] : ["docker", ["build", ...words]];
    const { status, stderr, stdout } = spawnSync(program, all, {
      cwd: TOP,
      encoding: "utf8",
      maxBuffer: OUTPUT_MAX,
    });
    if (status !== 0)
      throw new Error(`building ${tag} failed:\n${stdout.slice(-4000)}\n${stderr.slice(-4000)}`);
  }

  compose(...words: string[]): string {
    const [program, ...first] = this.#compose as [string, ...string[]];
    return this.#run(program, [...first, "-f", this.#file, ...words]);
  }

  /** A command on the machine whose loopback has the published ports. */
  machine(command: string, ...words: string[]): string {
    return this.#run(command, words);
  }

  /** A command inside a service's container. */
  exec(service: string, ...words: string[]): string {
    return this.compose("exec", "-T", service, ...words);
  }

  /** Everything a service has said, without colours and prefixes. */
  logs(service: string): string[] {
    const noColor = this.compose("logs", "--no-color", service);
    return noColor.split("\n").flatMap((line) => {
      const at = line.indexOf("| ");
      return at < 0 ? [] : [line.slice(at + 2)];
    });
  }

  close(): void {
    try {
      this.compose("down", "--volumes", "--timeout", "5");
    } finally {
      if (this.#lab) execFileSync("bash", [LAB, "down"], { stdio: "ignore" });
    }
  }
}
