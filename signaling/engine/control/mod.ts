export { AppTable, type AppLink } from './app-link.ts';
export { parseAppMessage, spellName } from './app-message.ts';
export { encodeFrame, FrameReader, parseCommand, type Command } from './frame.ts';
export * from './frames.ts';
export { attachInProcess } from './io/in-process.ts';
export { ControlServer } from './io/tcp-server.ts';
