// What stands behind `npm run bench -- NAME`. The comment at the head of a benchmark's file is its help: its
// lines `//   --NAME VALUE  …` are the options that it takes, and no others are taken, since a
// misspelt one would measure something else for an hour.

export class BenchOptionError extends Error {}

/** The comment at the head of `source`, without its slashes. */
export function helpIn(source: string): string {
  const lines = source.split("\n");
  const end = lines.findIndex((line) => !line.startsWith("//"));
  return lines
    .slice(0, end < 0 ? lines.length : end)
    .map((line) => line.replace(/^\/\/ ?/, ""))
    .join("\n");
}

/** Names of the options that `help` describes, without dashes. */
export function namesIn(help: string): readonly string[] {
  return [...help.matchAll(/^ +--([a-z0-9-]+) /gm)].map((match) => match[1] as string);
}

/**
 * Throws for a word of `args` that is no option of `names`, each with one value: `--name VALUE` or
 * `--name=VALUE`.
 */
export function refuseUnknown(args: readonly string[], names: readonly string[]): void {
  for (let at = 0; at < args.length; at++) {
    const [name, value] = split(args[at] as string);
    if (name === undefined) throw new BenchOptionError(`'${args[at]}' is no option: ${listed(names)}`);
    if (!names.includes(name)) throw new BenchOptionError(`there is no --${name} here: ${listed(names)}`);
    if (value === undefined && args[++at] === undefined)
      throw new BenchOptionError(`--${name} wants a value`);
  }
}

/** The last value of `--name` among `args`, undefined without. */
export function textOf(args: readonly string[], name: string): string | undefined {
  for (let at = args.length - 1; at >= 0; at--) {
    const [each, value] = split(args[at] as string);
    if (each === name) return value ?? args[at + 1];
  }
  return undefined;
}

/** The value of `--name`, which is 0 or more; throws for anything else. */
export function numberOf(args: readonly string[], name: string, otherwise: number): number {
  const text = textOf(args, name);
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value < 0)
    throw new BenchOptionError(`--${name} takes a number, not '${text}'`);
  return value;
}

function split(word: string): readonly [name: string | undefined, value: string | undefined] {
  const match = /^--([a-z0-9-]+)(?:=(.*))?$/.exec(word);
  return [match?.[1], match?.[2]];
}

function listed(names: readonly string[]): string {
  return names.length === 0 ? "it takes none" : `it takes ${names.map((name) => `--${name}`).join(", ")}`;
}

/** The value of `--name`, one of `words`; `otherwise` without. */
export function wordOf<Word extends string>(
  args: readonly string[],
  name: string,
  words: readonly Word[],
  otherwise: Word,
): Word {
  return checked(textOf(args, name) ?? otherwise, name, words);
}

/** As `wordOf`, but several of them with commas between. */
export function wordsOf<Word extends string>(
  args: readonly string[],
  name: string,
  words: readonly Word[],
  otherwise: readonly Word[],
): readonly Word[] {
  return (
    textOf(args, name)
      ?.split(",")
      .map((word) => checked(word, name, words)) ?? otherwise
  );
}

function checked<Word extends string>(text: string, name: string, words: readonly Word[]): Word {
  const word = words.find((each) => each === text);
  if (word === undefined)
    throw new BenchOptionError(`--${name} takes ${words.join(", ")}, and not '${text}'`);
  return word;
}
