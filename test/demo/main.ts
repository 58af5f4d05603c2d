// `npm run demo`: the main job, to watch. Builds a lab of network namespaces on this machine, runs a story in
// it with real stacks (SCTP's, or the kernel's TCP and UDP), says what was lost, and removes what it made,
// also when it is interrupted.
import { Door, pause } from "@holdfast/testkit";
import { readOptions } from "./options.ts";
import { PlainStage } from "./plain-stage.ts";
import { bold, green, red, Screen } from "./screen.ts";
import { type Figures, Stage } from "./stage.ts";
import { killTwo } from "./story-cluster.ts";
import { killEndpoint } from "./story-endpoint.ts";
import { KubernetesStory } from "./story-kubernetes.ts";
import { cutAndHeal, FLOW_MS, killAndAdopt } from "./story-paths.ts";

/** From the verdict on an endpoint to its clients' ABORT. */
const TOLD_MS_MAX = 1000;

const options = readOptions();
const screen = new Screen();
const doors = await Promise.all(Array.from({ length: options.members }, () => Door.open()));
const plain =
  options.protocol === "sctp" ? undefined : new PlainStage(screen, options, options.protocol, doors);
const sctp = plain === undefined ? new Stage(screen, options, doors) : undefined;
const stage = plain ?? (sctp as Stage);
const kubernetes = sctp !== undefined && options.kubernetes ? new KubernetesStory(sctp) : undefined;
const close = async () => {
  await kubernetes?.close();
  await stage.close();
};
let interrupted = false;
const interrupt = () => {
  if (interrupted) process.exit(130); // the lab's exit handler removes its namespaces
  interrupted = true;
  screen.close();
  screen.say("interrupted: removing the lab");
  void close().finally(() => process.exit(130));
};
process.on("SIGINT", interrupt);
process.on("SIGTERM", interrupt);

/** Nothing was lost, or refused to anybody. */
function isGood(figures: Figures): boolean {
  const { lost, messagesLost, abortsSent, messagesSent } = figures;
  return lost === 0 && messagesLost === 0 && abortsSent === 0 && messagesSent > 0;
}

/** Of UDP what was on its way at a death is lost, and nothing else. */
async function tellPlain(stage: PlainStage): Promise<{ line: object; good: boolean }> {
  await stage.open();
  await pause(FLOW_MS);
  const takeoverMs = options.members > 1 ? (await killTwo(stage)).map(Math.round) : [];
  if (options.members === 1) await killAndAdopt(stage);
  const { longestGapMs, ...rest } = await stage.settle();
  const { lost, resets, recordsSent, recordsLost, recordsWrong } = rest;
  const isWhole = lost === 0 && resets === 0 && recordsWrong === 0 && recordsSent > 0;
  const wayMs = takeoverMs.reduce((sum, ms) => sum + ms, 0);
  // Each record goes to and fro: one that was asked before a death may miss its answer after it.
  const lostMax = stage.protocol === "tcp" ? 0 : ((wayMs + takeoverMs.length * 100) / 20) * rest.flows;
  return {
    line: { ...rest, ...(options.members > 1 && { takeoverMs }), longestGapMs },
    good: isWhole && recordsLost <= lostMax,
  };
}

async function tell(stage: Stage): Promise<{ line: object; good: boolean }> {
  if (kubernetes !== undefined) {
    const figures = await kubernetes.tell();
    return { line: figures, good: isGood(figures) };
  }
  if (options.killEndpoint) {
    await stage.open({ reconnect: true });
    await pause(FLOW_MS);
    const figures = await killEndpoint(stage);
    const told = figures.toldMs.every((ms) => ms < TOLD_MS_MAX);
    return {
      line: figures,
      good: told && figures.disturbed === 0 && figures.returned === figures.toldMs.length,
    };
  }
  await stage.open();
  await pause(FLOW_MS);
  const takeover = options.members > 1 ? await killTwo(stage) : [];
  await cutAndHeal(stage);
  if (options.members === 1) await killAndAdopt(stage);
  const figures: Figures = await stage.settle();
  const { longestGapMs, ...rest } = figures;
  return {
    line: {
      ...rest,
      ...(options.members > 1 && { takeoverMs: takeover.map((ms) => Math.round(ms)) }),
      longestGapMs,
    },
    good: isGood(figures),
  };
}

let code = 1;
try {
  const { line, good } = plain === undefined ? await tell(sctp as Stage) : await tellPlain(plain);
  screen.close();
  screen.say(bold("what was counted"));
  for (const [name, value] of Object.entries(line)) {
    const text =
      Array.isArray(value) && value.length > 12
        ? `${value.length} values, ${Math.min(...value)} … ${Math.max(...value)}`
        : Array.isArray(value)
          ? value.join(", ")
          : value;
    screen.say(`  ${name.padEnd(14)} ${text}`);
  }
  screen.say(
    good
      ? green(bold(plain?.protocol === "udp" ? "no flow was lost" : "nothing was lost"))
      : red(bold("something was lost: see above")),
  );
  if (options.stay) {
    screen.say(`the cluster stays up; its page: ${bold(`${doors[0]?.origin}/console/`)}. Ctrl-C ends it`);
    await new Promise<never>(() => {});
  }
  await close();
  if (options.json) process.stdout.write(`${JSON.stringify(line)}\n`);
  code = good ? 0 : 1;
} catch (error) {
  if (!interrupted) {
    screen.close();
    console.error(error);
    for (const member of stage.cluster.members)
      console.error(`--- ${member.name}\n${member.log().slice(-2000)}`);
  }
  await close();
}
if (!interrupted) process.exit(code);
