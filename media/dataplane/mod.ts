export { createDataplane } from './native.ts';
export { openRequestSocket, type RequestSocket } from './requests.ts';
export * from './port.ts';
