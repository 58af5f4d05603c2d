// What tests of other packages may use.
export { connect } from "../connection.ts";
export { main } from "../program.ts";
