// The cluster's own authority, member certificates, and their files.

export * from "./files.ts";
export * from "./identity.ts";
export * from "./lazy-authority.ts";
export * from "./revocation.ts";
export * from "./verify.ts";
