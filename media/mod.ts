export { createDataplane, DataplaneError, type Dataplane, type DataplaneOptions } from './dataplane/mod.ts';
export * from './ng/mod.ts';
export { openRecordingFolder, Recordings } from './recording/mod.ts';
export { NodeLoad, SessionManager, setUpCaches, type LimitName } from './session/mod.ts';
