// The cluster's own authority, member certificates, and their files.
export * from "./authority.ts";
export * from "./files.ts";
export * from "./identity.ts";
export * from "./verify.ts";
