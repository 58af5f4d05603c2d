// sessions and configuration as Automerge CRDTs between members
export {};
