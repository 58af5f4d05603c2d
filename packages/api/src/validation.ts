// Checks a value against a schema, with the findings in plain words: the same for a request and a configuration file.
import type { TSchema } from "@sinclair/typebox";
import { Value, type ValueError, ValueErrorType } from "@sinclair/typebox/value";
import { FORMAT_WORDS } from "./formats.ts";

/** One finding. `path` leads from the root to the field; `unknown` is set when the field itself is not known. */
export interface Finding {
  readonly path: readonly (string | number)[];
  /** What is wrong, without the field's name: "must be an integer from 1 to 65535, not 'x'". */
  readonly reason: string;
  /** What to do: one sentence. */
  readonly remedy: string;
  readonly kind: "missing" | "unknown" | "wrong";
}

export const FINDING_COUNT_MAX = 20;

/**
 * Fills defaults into `value` (in place where it can) and checks it. At most 20 findings; a field is named once.
 */
export function validate<T>(
  schema: TSchema & { readonly static: T },
  value: unknown,
): { readonly value: T; readonly findings: readonly Finding[] } {
  const findings: Finding[] = [];
  const seen = new Set<string>();
  // Filling in would merge a set of fields into a list's default, and the list would pass for an empty one.
  for (const error of Value.Errors(schema, value)) {
    if (findings.length >= FINDING_COUNT_MAX) break;
    if (seen.has(error.path) || !isMergedAway(error)) continue;
    seen.add(error.path);
    findings.push(findingOf(error));
  }
  if (findings.length > 0) return { value: value as T, findings };
  const filled = Value.Default(schema, value);
  for (const error of Value.Errors(schema, filled)) {
    if (seen.has(error.path)) continue;
    seen.add(error.path);
    findings.push(findingOf(error));
    if (findings.length >= FINDING_COUNT_MAX) break;
  }
  return { value: filled as T, findings };
}

/** A list where the default is a set of fields, or the other way round. */
function isMergedAway({ schema, value }: ValueError): boolean {
  const byDefault: unknown = schema["default"];
  if (typeof byDefault !== "object" || byDefault === null) return false;
  if (typeof value !== "object" || value === null) return false;
  return Array.isArray(byDefault) !== Array.isArray(value);
}

/** `services[0].endpoints[1].port`; "the document" for the root. */
export function fieldName(path: readonly (string | number)[]): string {
  if (path.length === 0) return "the document";
  return path
    .map((part, index) => (typeof part === "number" ? `[${part}]` : index === 0 ? part : `.${part}`))
    .join("");
}

function findingOf(error: ValueError): Finding {
  const path = error.path
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"))
    .map((part) => (/^\d+$/.test(part) ? Number(part) : part));
  const schema = error.schema as Record<string, unknown>;
  const description = typeof schema["description"] === "string" ? schema["description"] : undefined;
  if (error.type === ValueErrorType.ObjectAdditionalProperties) {
    // The schema of this finding is the object's, so that its properties can be offered.
    const known = Object.keys((schema["properties"] as object | undefined) ?? {});
    const last = String(path.at(-1) ?? "");
    const near = nearest(last, known);
    return {
      path,
      kind: "unknown",
      reason: "is not a known field",
      remedy:
        near !== undefined
          ? `Did you mean '${near}'? Known here: ${known.join(", ")}.`
          : `Remove it. Known here: ${known.join(", ")}.`,
    };
  }
  if (error.type === ValueErrorType.ObjectRequiredProperty) {
    return {
      path,
      kind: "missing",
      reason: "is missing",
      remedy: description !== undefined ? `Add it: ${description}` : "Add it.",
    };
  }
  return {
    path,
    kind: "wrong",
    reason: `must be ${expectation(schema)}, not ${display(error.value)}`,
    // Of a list the reason names all words; what the field means corrects none of them.
    remedy:
      description !== undefined && schema["enum"] === undefined
        ? `Correct it: ${description}`
        : "Correct it.",
  };
}

/** In words what a schema accepts. */
export function expectation(schema: Record<string, unknown>): string {
  if (Array.isArray(schema["enum"])) return `one of ${schema["enum"].join(", ")}`;
  if (Array.isArray(schema["anyOf"])) {
    const words = (schema["anyOf"] as Record<string, unknown>[]).map(expectation);
    return words.join(", or ");
  }
  if (schema["const"] !== undefined) return String(schema["const"]);
  const format = schema["format"];
  if (typeof format === "string" && FORMAT_WORDS[format] !== undefined) return FORMAT_WORDS[format];
  switch (schema["type"]) {
    case "integer":
      return `an integer${range(schema)}`;
    case "number":
      return `a number${range(schema)}`;
    case "boolean":
      return "true or false";
    case "array": {
      const items = [];
      if (schema["uniqueItems"] === true) items.push("different");
      const limits = range(schema, "minItems", "maxItems");
      return `a list${limits === "" ? "" : `, items${limits}`}${items.length > 0 ? ", all different" : ""}`;
    }
    case "object":
      return "a set of named fields";
    case "string": {
      const pattern = schema["pattern"];
      if (typeof pattern === "string") return `text that matches ${pattern}`;
      return `text${range(schema, "minLength", "maxLength").replace("from", "of").replace("at", "of at")}`;
    }
    default:
      return "something else";
  }
}

function range(schema: Record<string, unknown>, low = "minimum", high = "maximum"): string {
  const [minimum, maximum, above] = [schema[low], schema[high], schema["exclusiveMinimum"]];
  if (above !== undefined) return ` above ${above}${maximum !== undefined ? `, at most ${maximum}` : ""}`;
  if (minimum !== undefined && maximum !== undefined) return ` from ${minimum} to ${maximum}`;
  if (minimum !== undefined) return ` at least ${minimum}`;
  return maximum !== undefined ? ` at most ${maximum}` : "";
}

function display(value: unknown): string {
  if (value === undefined || value === null) return "nothing";
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : `a list of ${value.length}`;
  if (typeof value === "object") return "a set of fields";
  const text = String(value);
  return `'${text.length > 60 ? `${text.slice(0, 57)}...` : text}'`;
}

/** The known word at a small edit distance, if there is one. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substituted, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
