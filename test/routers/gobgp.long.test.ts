// The second speaker behind the same port passes the same suite.
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { speakerSuite } from "./speaker-suite.test.ts";

const INSTALL = fileURLToPath(new URL("../../deploy/setup/gobgp.sh", import.meta.url));
const program = execFileSync("bash", [INSTALL], { encoding: "utf8" }).trim();

speakerSuite("GoBGP", { speaker: "gobgp", program, command: "gobgpd" });
