import { parseAppMessage, parseCommand, reply, type AppLink, type Command } from '../control/mod.ts';
import { sendResponse } from './answers.ts';
import type { Core } from './context.ts';
import { sendRequest } from './outbound.ts';
import { proxyRequest } from './proxying.ts';

/** One payload of an application that has authenticated (control protocol §2). */
export function receiveCommand(core: Core, app: AppLink, payload: string, identity: () => string): void {
  const command = parseCommand(payload);
  if (!command) {
    app.send(reply(core.ids.uuid(), '', 'NO', 'Invalid message format'));
    app.close();
    return;
  }
  const answer = (...fields: string[]) => app.send(reply(core.ids.uuid(), command.id, ...fields));
  const verb = (command.fields[0] ?? '').toLowerCase();
  switch (command.type) {
    case 'authenticate':
      answer('OK', identity());
      return;
    case 'ping':
      answer('OK', 'pong');
      return;
    case 'route':
      if (app.verbs.size < 64) app.verbs.add(verb);
      answer('OK');
      return;
    case 'remove_route':
      app.verbs.delete(verb);
      answer('OK');
      return;
    case 'sip':
      receiveSip(core, app, command, answer);
      return;
    case 'proxy':
      proxyRequest(core, app, command, parseAppMessage(command.sip));
      return;
    default:
      answer('NO', 'Unknown message type');
      app.close();
  }
}

function receiveSip(core: Core, app: AppLink, command: Command, answer: (...fields: string[]) => void): void {
  const { fields, sip } = command;
  const message = parseAppMessage(sip);
  if (!message) {
    answer('NOK', `invalid request-uri: ${sip.slice(0, Math.max(0, sip.indexOf('\r'))).slice(0, 120)}`);
    return;
  }
  const [transactionId = '', dialogId = '', routeUrl = ''] = fields;
  if (message.type === 'response') {
    if (transactionId === '') {
      answer('NO', 'transaction id missing');
      return;
    }
    const refusal = sendResponse(core, command, transactionId, message, core.now());
    if (refusal !== undefined) app.send(refusal);
    return;
  }
  sendRequest(core, app, command, { transactionId, dialogId, routeUrl }, message).catch((error: unknown) => {
    // What can fail has its own answer; this is the net below it: an application never waits for nothing.
    answer('NOK', `Server error: ${error instanceof Error ? error.message : String(error)}`);
  });
}
