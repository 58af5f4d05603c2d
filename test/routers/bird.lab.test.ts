import { speakerSuite } from "./speaker-suite.test.ts";

speakerSuite("BIRD", { speaker: "bird", program: "/usr/sbin/bird", command: "bird" });
