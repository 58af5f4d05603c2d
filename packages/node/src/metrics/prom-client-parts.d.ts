// prom-client has no types for the parts of its default metrics.
declare module "prom-client/lib/metrics/*.js" {
  const register: (registry: import("prom-client").Registry, configuration?: object) => void;
  export default register;
}
