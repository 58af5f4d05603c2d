// Runs the SCTP test peer and says once a second, for people, how its associations are. A client starts again
// when it is alone at first (its servers may come later), and never once it was up: what is lost is said.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

type Line = Readonly<Record<string, unknown>> & { readonly event: string };

const words = process.argv.slice(2);
const client = words.includes("client");
const peer = spawn("peer", words, { stdio: ["pipe", "pipe", "inherit"] });
const say = (text: string) => process.stdout.write(`${text}\n`);
const paths = new Map<string, string>();
let report: Line[] = [];

createInterface({ input: peer.stdout }).on("line", (text) => {
  const line = JSON.parse(text) as Line;
  switch (line.event) {
    case "up":
    case "restart":
    case "lost":
    case "shutdown":
      say(`association ${line["id"]}: ${line.event}`);
      break;
    case "cannotStart":
      say("nobody answers yet");
      peer.kill("SIGKILL");
      break;
    case "error":
      say(`error: ${line["what"]}: ${line["reason"]}`);
      break;
    case "path":
      paths.set(String(line["address"]), String(line["state"]));
      say(`path ${line["address"]}: ${line["state"]}`);
      break;
    case "association":
    case "receipt":
      report.push(line);
      break;
    case "statsEnd":
      for (const one of report) {
        say(
          client
            ? `messages sent ${one["sent"]}, answered ${one["echoes"]}, longest silence ${one["longestEchoGapMs"]} ms`
            : `sender ${one["client"]}: received ${one["received"]}, missing ${one["missing"]}, longest silence ${one["longestGapMs"]} ms`,
        );
      }
      report = [];
      break;
  }
});
const ask = setInterval(() => peer.stdin.write("stats\n"), 1000);
peer.stdin.on("error", () => clearInterval(ask));
peer.on("exit", (code) => process.exit(code ?? 1));
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => peer.kill("SIGKILL"));
