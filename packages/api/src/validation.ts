// Checks a value against a schema, with the findings in plain words: the same for a request and a
// configuration file.
import type { Static, TSchema } from "typebox";
import { Settings } from "typebox/system";
import { Value } from "typebox/value";
import { FORMAT_WORDS } from "./formats.ts";

/**
 * One finding. `path` leads from the root to the field; `unknown` is set when the field itself is not known.
 */
export interface Finding {
  readonly path: readonly (string | number)[];
  /** What is wrong, without the field's name: "must be an integer from 1 to 65535, not 'x'". */
  readonly reason: string;
  /** What to do: one sentence. */
  readonly remedy: string;
  readonly kind: "missing" | "unknown" | "wrong";
}

export const FINDING_COUNT_MAX = 20;

// One mistake may be several errors of TypeBox: each alternative's, and that none of them holds.
Settings.Set({ maxErrors: 8 * FINDING_COUNT_MAX });

/**
 * Fills defaults into `value` (in place where it can) and checks it. At most 20 findings; a field is named
 * once.
 */
export function validate<Schema extends TSchema>(
  schema: Schema,
  value: unknown,
): { readonly value: Static<Schema>; readonly findings: readonly Finding[] } {
  // Filling in would merge a set of fields into a list's default, and the list would pass for an empty one.
  const merged = mistakesOf(schema, value).filter(isMergedAway);
  if (merged.length > 0) return { value: value as Static<Schema>, findings: findingsOf(merged) };
  const filled = Value.Default(schema, value);
  return { value: filled as Static<Schema>, findings: findingsOf(mistakesOf(schema, filled)) };
}

/** One mistake: where, what was expected there, and what stands there. */
interface Mistake {
  readonly kind: Finding["kind"];
  readonly path: readonly (string | number)[];
  /** Of an unknown field: the object's, so that its properties can be offered. */
  readonly schema: Readonly<Record<string, unknown>>;
  readonly value: unknown;
}

/**
 * TypeBox's errors point into schema and value; an alternative's own are left out where none of them holds.
 */
function mistakesOf(schema: TSchema, value: unknown): Mistake[] {
  const errors = [...Value.Errors(schema, value)];
  const unions = errors.filter(({ keyword }) => keyword === "anyOf").map(({ schemaPath }) => schemaPath);
  return errors
    .filter(({ schemaPath }) => !unions.some((union) => schemaPath.startsWith(`${union}/anyOf/`)))
    .flatMap((error): Mistake[] => {
      const path = pathOf(error.instancePath, value);
      const expected = (at(schema, error.schemaPath.replace(/^#/, "")) ?? {}) as Record<string, unknown>;
      const properties = (expected["properties"] ?? {}) as Record<string, Record<string, unknown>>;
      if (error.keyword === "required")
        return error.params.requiredProperties.map((name) => {
          return { kind: "missing", path: [...path, name], schema: properties[name] ?? {}, value: undefined };
        });
      if (error.keyword === "additionalProperties")
        return error.params.additionalProperties.map((name) => {
          return { kind: "unknown", path: [...path, name], schema: expected, value: undefined };
        });
      // What `additionalProperties: false` says of each of them once more.
      if (error.keyword === "boolean") return [];
      return [{ kind: "wrong", path, schema: expected, value: at(value, error.instancePath) }];
    });
}

const unescaped = (part: string) => part.replaceAll("~1", "/").replaceAll("~0", "~");

/** What a JSON pointer leads to (RFC 6901). */
function at(root: unknown, pointer: string): unknown {
  let found = root;
  for (const part of pointer.split("/").slice(1).map(unescaped)) {
    if (typeof found !== "object" || found === null || !Object.hasOwn(found, part)) return undefined;
    found = (found as Record<string, unknown>)[part];
  }
  return found;
}

/** Numbers where the pointer leads through a list. */
function pathOf(pointer: string, root: unknown): (string | number)[] {
  let holder = root;
  return pointer
    .split("/")
    .slice(1)
    .map(unescaped)
    .map((part) => {
      const isIndex = Array.isArray(holder);
      holder = (holder as Record<string, unknown> | undefined)?.[part];
      return isIndex ? Number(part) : part;
    });
}

/** A list where the default is a set of fields, or the other way round. */
function isMergedAway({ schema, value }: Mistake): boolean {
  const byDefault: unknown = schema["default"];
  if (typeof byDefault !== "object" || byDefault === null) return false;
  if (typeof value !== "object" || value === null) return false;
  return Array.isArray(byDefault) !== Array.isArray(value);
}

function findingsOf(mistakes: readonly Mistake[]): Finding[] {
  const byPath = new Map<string, Finding>();
  for (const mistake of mistakes) {
    const key = JSON.stringify(mistake.path);
    if (!byPath.has(key)) byPath.set(key, findingOf(mistake));
    if (byPath.size >= FINDING_COUNT_MAX) break;
  }
  return [...byPath.values()];
}

/** `services[0].endpoints[1].port`; "the document" for the root. */
export function fieldName(path: readonly (string | number)[]): string {
  if (path.length === 0) return "the document";
  return path
    .map((part, index) => (typeof part === "number" ? `[${part}]` : index === 0 ? part : `.${part}`))
    .join("");
}

function findingOf({ kind, path, schema, value }: Mistake): Finding {
  const description = typeof schema["description"] === "string" ? schema["description"] : undefined;
  if (kind === "unknown") {
    const known = Object.keys((schema["properties"] as object | undefined) ?? {});
    const near = nearest(String(path.at(-1) ?? ""), known);
    return {
      path,
      kind,
      reason: "is not a known field",
      remedy:
        near !== undefined
          ? `Did you mean '${near}'? Known here: ${known.join(", ")}.`
          : `Remove it. Known here: ${known.join(", ")}.`,
    };
  }
  if (kind === "missing") {
    return {
      path,
      kind,
      reason: "is missing",
      remedy: description !== undefined ? `Add it: ${description}` : "Add it.",
    };
  }
  return {
    path,
    kind,
    reason: `must be ${expectation(schema)}, not ${display(value)}`,
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
