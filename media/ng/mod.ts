export { runCommand, type CommandResult } from './commands.ts';
export { NgUdpServer } from './io/udp-server.ts';
