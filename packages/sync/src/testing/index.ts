// What tests of other packages may use.
export { ConfigurationDocument } from "../configuration/configuration-document.ts";
