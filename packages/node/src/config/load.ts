// From a YAML file and the environment to a checked configuration. Every mistake is a ConfigurationError that
// names the file, the line, the field and the way out; all mistakes found are listed, the first is the
// message.
import { readFileSync } from "node:fs";
import { fieldName, validate } from "@holdfast/api";
import { type ErrorCode, type ErrorDetails, HoldfastError } from "@holdfast/model";
import { type Document, isMap, isNode, isScalar, LineCounter, parseDocument } from "yaml";
import { type CheckFinding, checkConfiguration } from "./check.ts";
import { applyEnvironment } from "./environment.ts";
import { type Configuration, ConfigurationSchema } from "./schema.ts";

export const CONFIG_SIZE_MAX = 4 * 1024 * 1024;

export interface LoadedConfiguration {
  readonly configuration: Configuration;
  /** Path of the field → variable that set it. */
  readonly overrides: ReadonlyMap<string, string>;
  /** HOLDFAST_ variables that name no field. */
  readonly unknownVariables: readonly string[];
}

/** What is wrong with a configuration: the first mistake as the message, all of them in `all`. */
export class ConfigurationError extends HoldfastError {
  readonly all: readonly HoldfastError[];

  constructor(all: readonly [HoldfastError, ...HoldfastError[]]) {
    super(all[0].code, all[0].details as ErrorDetails<ErrorCode>);
    this.all = all;
  }
}

/** Reads `file`; without one, defaults and the environment alone make the configuration. */
export function loadConfiguration(
  file: string | undefined,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): LoadedConfiguration {
  let text = "";
  if (file !== undefined) {
    try {
      text = readFileSync(file, "utf8");
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new ConfigurationError([new HoldfastError("CONFIG_UNREADABLE", { file, reason })]);
    }
    if (text.length > CONFIG_SIZE_MAX) {
      const reason = `it is larger than ${CONFIG_SIZE_MAX} bytes`;
      throw new ConfigurationError([new HoldfastError("CONFIG_UNREADABLE", { file, reason })]);
    }
  }
  return parseConfiguration(text, file ?? "(no file)", environment);
}

/** The same from text; `file` is what messages call it. */
export function parseConfiguration(
  text: string,
  file: string,
  environment: Readonly<Record<string, string | undefined>> = {},
): LoadedConfiguration {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: "error" });
  throwIfAny(
    document.errors.map(
      (error) =>
        new HoldfastError("CONFIG_SYNTAX", {
          where: `${file}:${lines.linePos(error.pos[0]).line}`,
          reason: error.message.replace(/\.?\s*$/, ""),
        }),
    ),
  );
  const raw: unknown = document.contents === null ? {} : toPlain(document, file);
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) {
    const remedy = "Write 'name: value' lines, as in deploy/examples.";
    throwIfAny([invalid(`${file}:1`, "the document", "must be a set of named sections", remedy)]);
  }
  const { applied, unknown } = applyEnvironment(
    raw as Record<string, unknown>,
    ConfigurationSchema,
    environment,
  );
  const whereOf = (path: readonly (string | number)[]): string => {
    const variable = applied.get(path.join("."));
    if (variable !== undefined) return `environment variable ${variable}`;
    const line = lineOf(document, lines, path);
    return line === undefined ? file : `${file}:${line}`;
  };
  const { value: configuration, findings } = validate(ConfigurationSchema, raw);
  throwIfAny(findings.map((f) => invalid(whereOf(f.path), fieldName(f.path), f.reason, f.remedy)));
  throwIfAny(checkConfiguration(configuration).map((f) => errorOf(f, whereOf(f.path))));
  return { configuration, overrides: applied, unknownVariables: unknown };
}

function errorOf(finding: CheckFinding, where: string): HoldfastError {
  if (finding.code !== undefined) return HoldfastError.of(finding.code, { where, ...finding.details });
  return invalid(where, fieldName(finding.path), finding.reason, finding.remedy);
}

function invalid(where: string, field: string, reason: string, remedy: string): HoldfastError {
  return new HoldfastError("CONFIG_INVALID", { where, field, reason, remedy });
}

function throwIfAny(errors: readonly HoldfastError[]): void {
  const [first, ...rest] = errors;
  if (first !== undefined) throw new ConfigurationError([first, ...rest]);
}

function toPlain(document: Document, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigurationError([new HoldfastError("CONFIG_SYNTAX", { where: file, reason })]);
  }
}

/** Line of the deepest part of `path` that the document has; a key's own line when it is a key. */
function lineOf(
  document: Document,
  lines: LineCounter,
  path: readonly (string | number)[],
): number | undefined {
  for (let length = path.length; length >= 0; length--) {
    const parent = length === 0 ? undefined : document.getIn(path.slice(0, length - 1), true);
    if (isMap(parent)) {
      const last = String(path[length - 1]);
      const pair = parent.items.find((item) => isScalar(item.key) && String(item.key.value) === last);
      if (pair !== undefined && isNode(pair.key) && pair.key.range)
        return lines.linePos(pair.key.range[0]).line;
    }
    const node = length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
  }
  return undefined;
}
