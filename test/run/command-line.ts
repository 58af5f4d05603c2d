// The words behind a program's name. A wrong one is said in a sentence, with what would be right.
import { type ParseArgsConfig, parseArgs } from "node:util";

type Options = NonNullable<ParseArgsConfig["options"]>;
type Values<Given extends Options> = ReturnType<typeof parseArgs<{ options: Given }>>["values"];

/** Says what is wrong, and leaves: 2, as `npm run check` and the shell's own programs do. */
export function refuse(message: string, usage: string): never {
  console.error(`${message}\n\n${usage.trimEnd()}`);
  process.exit(2);
}

/** `options`: as of node's `parseArgs`. `--help` prints the usage, and ends the process. */
export function readCommandLine<const Given extends Options>(usage: string, options: Given): Values<Given> {
  if (process.argv.includes("--help", 2)) {
    console.log(usage.trimEnd());
    process.exit(0);
  }
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    return refuse((error as Error).message, usage);
  }
}

/** Also written as 1e6. */
export function wholeNumberOf(
  text: string,
  name: string,
  usage: string,
  least = 1,
  most = Number.MAX_SAFE_INTEGER,
): number {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  const end = most === Number.MAX_SAFE_INTEGER ? "on" : `to ${most}`;
  return refuse(`--${name} takes a whole number from ${least} ${end}, not '${text}'`, usage);
}
