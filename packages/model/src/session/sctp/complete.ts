// What `SessionTable.apply` adds to a delta before it is joined and replicated, so that observers need not
// know it: the ordinal of a new generation, and the committed generation inside the commit.

import { compareCommits } from "../join.ts";
import type { Commit, Generation, SessionDelta, SessionRecord, Tag } from "../record.ts";
import { latestOrdinal } from "./facts.ts";
import { joinGeneration, normalGeneration, ordinalOf } from "./generation.ts";

export function complete(record: SessionRecord, delta: SessionDelta): SessionDelta {
  const generations = delta.generations === undefined ? undefined : withOrdinals(record, delta.generations);
  const commit = withGeneration(record, delta.commit, generations);
  if (generations === delta.generations && commit === delta.commit) return delta;
  return {
    ...delta,
    ...(generations === undefined ? {} : { generations }),
    ...(commit === undefined ? {} : { commit }),
  };
}

function withOrdinals(
  record: SessionRecord,
  generations: ReadonlyMap<Tag, Generation>,
): ReadonlyMap<Tag, Generation> {
  const result = new Map<Tag, Generation>();
  for (const [tag, generation] of generations) {
    const known = record.generations.get(tag) ?? committed(record, tag);
    const ordinal =
      known === undefined
        ? (generation.ordinal ?? latestOrdinal(record) + 1)
        : Math.max(ordinalOf(known), generation.ordinal ?? 0);
    result.set(tag, generation.ordinal === ordinal ? generation : { ...generation, ordinal });
  }
  return result;
}

function committed(record: SessionRecord, tag: Tag): Generation | undefined {
  return record.commit?.clientTag === tag ? record.commit.generation : undefined;
}

/** A commit carries its generation; new facts about the committed generation go with the commit too. */
function withGeneration(
  record: SessionRecord,
  given: Commit | undefined,
  generations: ReadonlyMap<Tag, Generation> | undefined,
): Commit | undefined {
  let commit = given;
  if (
    commit === undefined &&
    record.commit !== undefined &&
    generations?.has(record.commit.clientTag) === true
  ) {
    commit = record.commit;
  }
  if (commit === undefined) return undefined;
  const pieces = [
    record.commit !== undefined && compareCommits(record.commit, commit) === 0
      ? record.commit.generation
      : undefined,
    record.generations.get(commit.clientTag),
    generations?.get(commit.clientTag),
    commit.generation,
  ];
  let generation: Generation | undefined;
  for (const piece of pieces) {
    if (piece === undefined || piece === generation) continue;
    const normal = normalGeneration(piece);
    generation = generation === undefined ? normal : joinGeneration(generation, normal);
  }
  return generation === undefined ? commit : { ...commit, generation };
}
