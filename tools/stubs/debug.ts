/** Stands in for debug in the bundle (tools/build.ts): messages for who develops the library that imports it. */
const debug = () => () => undefined;
// oxlint-disable-next-line import/no-default-export -- as the package does it
export default debug;
