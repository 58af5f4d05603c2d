// esbuild takes style sheets; the type checker need not know what is in them.
declare module "*.css" {}
