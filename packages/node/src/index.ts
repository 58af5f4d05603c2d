// the daemon: composes the packages, serves the API
export {};
