// The X.509 library is needed by `holdfast certificates` alone: a daemon should not load it.
import type { AuthorityOptions, KeyPair, MemberOptions } from "./authority.ts";

export type { AuthorityOptions, KeyPair, MemberOptions } from "./authority.ts";

/** See authority.ts. */
export async function createAuthority(options: AuthorityOptions): Promise<KeyPair> {
  return (await import("./authority.ts")).createAuthority(options);
}

/** See authority.ts. */
export async function issueMemberCertificate(authority: KeyPair, member: MemberOptions): Promise<KeyPair> {
  return (await import("./authority.ts")).issueMemberCertificate(authority, member);
}

/** See authority.ts. */
export async function createMemberRequest(
  memberName: string,
): Promise<{ requestPem: string; keyPem: string }> {
  return (await import("./authority.ts")).createMemberRequest(memberName);
}

/** See authority.ts. */
export async function certifyRequest(
  authority: KeyPair,
  requestPem: string,
  member: MemberOptions,
): Promise<string> {
  return (await import("./authority.ts")).certifyRequest(authority, requestPem, member);
}
