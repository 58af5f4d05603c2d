// The authority's directory, as `holdfast certificates` keeps it:
//
//   authority.crt  authority.key   the authority; the key never leaves this directory
//   members.json                   which member has which number: a number is given to one name only, for
//   good
//   NAME.crt  NAME.key             what member NAME needs, beside authority.crt
//
// Keys have mode 0600. Every file is written beside its place and renamed, so that a crash leaves the old
// one.
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Address, HoldfastError, MEMBER_NUMBER_COUNT_MAX } from "@holdfast/model";
import { isPlainName } from "./identity.ts";
import { createAuthority, issueMemberCertificate, type KeyPair } from "./lazy-authority.ts";
import { type MemberTls, type VerifiedCertificate, verifyMemberCertificate } from "./verify.ts";

interface Register {
  readonly clusterId: string;
  readonly members: Record<string, { readonly number: number; readonly addresses: readonly Address[] }>;
}

/**
 * Makes `directory` and a new authority in it. Errors: CERTIFICATE_AUTHORITY_EXISTS,
 * CERTIFICATE_NAME_INVALID.
 */
export async function initAuthority(
  directory: string,
  options: { readonly clusterId: string; readonly validDays?: number; readonly wallMs?: number },
): Promise<{ readonly certificateFile: string; readonly keyFile: string }> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const certificateFile = join(directory, "authority.crt");
  const keyFile = join(directory, "authority.key");
  if ((await readOptional(certificateFile)) !== undefined || (await readOptional(keyFile)) !== undefined)
    throw new HoldfastError("CERTIFICATE_AUTHORITY_EXISTS", { directory });
  const authority = await createAuthority(options);
  await writeSafely(keyFile, authority.keyPem, 0o600);
  await writeSafely(certificateFile, authority.certificatePem, 0o644);
  await writeRegister(directory, { clusterId: options.clusterId, members: {} });
  return { certificateFile, keyFile };
}

export interface MemberRequest {
  readonly memberName: string;
  /** Default: the number this member has, or else the lowest free one. */
  readonly memberNumber?: number;
  /** Default: the addresses it had. */
  readonly addresses?: readonly Address[];
  readonly validDays?: number;
  readonly wallMs?: number;
}

/**
 * Issues, or renews, one member's certificate with a new key. A member keeps its number for good: the slots
 * that follow from it may still be in use somewhere. Errors: CERTIFICATE_AUTHORITY_MISSING,
 * CERTIFICATE_NUMBER_TAKEN, CERTIFICATE_NUMBERS_EXHAUSTED and those of `issueMemberCertificate`.
 */
export async function issueMember(
  directory: string,
  request: MemberRequest,
): Promise<
  VerifiedCertificate & {
    readonly certificateFile: string;
    readonly keyFile: string;
    readonly authorityFile: string;
  }
> {
  const { memberName } = request;
  if (!isPlainName(memberName)) throw new HoldfastError("CERTIFICATE_NAME_INVALID", { name: memberName });
  const authority = await readAuthorityFiles(directory);
  const register = await readRegister(directory);
  const known = Object.hasOwn(register.members, memberName) ? register.members[memberName] : undefined;
  const memberNumber = request.memberNumber ?? known?.number ?? lowestFreeNumber(register);
  if (known !== undefined && known.number !== memberNumber) {
    throw new HoldfastError("CERTIFICATE_NUMBER_FIXED", { member: memberName, number: known.number });
  }
  for (const [other, entry] of Object.entries(register.members)) {
    if (other !== memberName && entry.number === memberNumber)
      throw new HoldfastError("CERTIFICATE_NUMBER_TAKEN", { number: memberNumber, member: other });
  }
  const addresses = request.addresses ?? known?.addresses ?? [];
  const pair = await issueMemberCertificate(authority, {
    clusterId: register.clusterId,
    memberName,
    memberNumber,
    addresses,
    ...(request.validDays !== undefined && { validDays: request.validDays }),
    ...(request.wallMs !== undefined && { wallMs: request.wallMs }),
  });
  // The register first: a number noted and not used costs nothing, one used and not noted is given out twice.
  await writeRegister(directory, {
    clusterId: register.clusterId,
    members: { ...register.members, [memberName]: { number: memberNumber, addresses } },
  });
  const certificateFile = join(directory, `${memberName}.crt`);
  const keyFile = join(directory, `${memberName}.key`);
  await writeSafely(keyFile, pair.keyPem, 0o600);
  await writeSafely(certificateFile, pair.certificatePem, 0o644);
  const verified = verifyMemberCertificate(
    { ...pair, authorityPem: authority.certificatePem },
    request.wallMs === undefined ? {} : { wallMs: request.wallMs },
  );
  return { ...verified, certificateFile, keyFile, authorityFile: join(directory, "authority.crt") };
}

/** The members of an authority's directory, by name. Errors: CERTIFICATE_AUTHORITY_MISSING. */
export async function listMembers(directory: string): Promise<{
  readonly clusterId: string;
  readonly members: readonly { readonly memberName: string; readonly memberNumber: number }[];
}> {
  const register = await readRegister(directory);
  const members = Object.entries(register.members).map(([memberName, entry]) => ({
    memberName,
    memberNumber: entry.number,
  }));
  return { clusterId: register.clusterId, members: members.sort((a, b) => a.memberNumber - b.memberNumber) };
}

/** Reads the three PEM files of a member. Errors: CERTIFICATE_FILE_UNREADABLE with the file's name. */
export async function loadMemberTls(files: {
  readonly authorityFile: string;
  readonly certificateFile: string;
  readonly keyFile: string;
}): Promise<MemberTls> {
  const [authorityPem, certificatePem, keyPem] = await Promise.all(
    [files.authorityFile, files.certificateFile, files.keyFile].map(async (file) => {
      try {
        return await readFile(file, "utf8");
      } catch (cause) {
        throw new HoldfastError(
          "CERTIFICATE_FILE_UNREADABLE",
          { file, reason: errorCodeOf(cause) },
          { cause },
        );
      }
    }),
  );
  return { authorityPem: authorityPem ?? "", certificatePem: certificatePem ?? "", keyPem: keyPem ?? "" };
}

async function readAuthorityFiles(directory: string): Promise<KeyPair> {
  const certificatePem = await readOptional(join(directory, "authority.crt"));
  const keyPem = await readOptional(join(directory, "authority.key"));
  if (certificatePem === undefined || keyPem === undefined)
    throw new HoldfastError("CERTIFICATE_AUTHORITY_MISSING", { directory });
  return { certificatePem, keyPem };
}

async function readRegister(directory: string): Promise<Register> {
  const text = await readOptional(join(directory, "members.json"));
  if (text === undefined) throw new HoldfastError("CERTIFICATE_AUTHORITY_MISSING", { directory });
  try {
    const value = JSON.parse(text) as Register;
    if (typeof value.clusterId !== "string" || typeof value.members !== "object" || value.members === null)
      throw new TypeError("not a register");
    return value;
  } catch (cause) {
    throw new HoldfastError(
      "CERTIFICATE_AUTHORITY_UNUSABLE",
      { reason: `${join(directory, "members.json")} cannot be read` },
      { cause },
    );
  }
}

function lowestFreeNumber(register: Register): number {
  const taken = new Set(Object.values(register.members).map((member) => member.number));
  for (let number = 0; number < MEMBER_NUMBER_COUNT_MAX; number++) if (!taken.has(number)) return number;
  throw new HoldfastError("CERTIFICATE_NUMBERS_EXHAUSTED", { count: MEMBER_NUMBER_COUNT_MAX });
}

function writeRegister(directory: string, register: Register): Promise<void> {
  return writeSafely(join(directory, "members.json"), `${JSON.stringify(register, null, 2)}\n`, 0o644);
}

/** The whole file or none of it, also after a power failure. */
export async function writeSafely(file: string, text: string, mode: number): Promise<void> {
  const beside = `${file}.new`;
  // A file left by a crash could have another mode; only a new one is sure to have ours.
  await rm(beside, { force: true });
  const handle = await open(beside, "wx", mode);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(beside, file);
  await syncDirectory(dirname(file));
}

/** A name that was made or replaced there outlives a power failure. */
async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function readOptional(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (errorCodeOf(error) === "ENOENT") return undefined;
    throw new HoldfastError(
      "CERTIFICATE_FILE_UNREADABLE",
      { file, reason: errorCodeOf(error) },
      { cause: error },
    );
  }
}

function errorCodeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}
