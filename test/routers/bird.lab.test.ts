import { speakerSuite } from "./speaker-suite.ts";

speakerSuite("BIRD", { speaker: "bird", program: "/usr/sbin/bird", command: "bird" });
