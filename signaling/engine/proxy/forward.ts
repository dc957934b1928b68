import { canonicalName, topVia, type Message, type SipHeader } from '../message/mod.ts';
import { maxForwards } from './limits.ts';

/** What changes in a request that is passed on (RFC 3261 §16.6). */
export interface Forwarding {
  /** The new R-URI; undefined: as it is. */
  readonly uri: string | undefined;
  /** Our Via, with the branch. */
  readonly via: string;
  /** The topmost last, each as it stands in the header. */
  readonly recordRoutes: readonly string[];
  /** REGISTER: where requests for the contact are to pass (RFC 3327 §5.2). */
  readonly path: string | undefined;
  /** What the application adds. */
  readonly extra: readonly SipHeader[];
  /** RFC 5393 §5.3.3; undefined: the header is left alone. */
  readonly breadth: number | undefined;
}

/** The copy for one target. Its body and everything that is not named here are as they came. */
export function forwardedRequest(request: Message, what: Forwarding): Message {
  const copy = request.clone();
  if (what.uri !== undefined) copy.uri = what.uri;
  copy.set('Max-Forwards', String(Math.max(0, maxForwards(request) - 1)));
  if (what.breadth !== undefined) copy.set('Max-Breadth', String(what.breadth));
  for (const route of what.recordRoutes) insertAbove(copy, 'Record-Route', route);
  if (what.path !== undefined) {
    insertAbove(copy, 'Path', what.path);
    if (!copy.getAll('require').some((value) => /\bpath\b/i.test(value))) copy.append('Require', 'path');
  }
  for (const { name, value } of what.extra) copy.append(name, value);
  copy.prepend('Via', what.via);
  return copy;
}

/** The answer of a target as it goes back: without our Via (§16.7 step 3). Undefined when no other Via is left. */
export function forwardedResponse(response: Message): Message | undefined {
  const copy = response.clone();
  const index = copy.headers.findIndex(({ name }) => canonicalName(name) === 'via');
  const header = copy.headers[index];
  if (!header) return undefined;
  const { rest } = topVia(header.value);
  if (rest === '') copy.headers.splice(index, 1);
  else copy.headers[index] = { name: header.name, value: rest };
  return copy.get('via') === undefined ? undefined : copy;
}

/** Above the first of its kind, or at the end: the order of these is the way back. */
function insertAbove(message: Message, name: string, value: string): void {
  const wanted = canonicalName(name);
  const index = message.headers.findIndex((header) => canonicalName(header.name) === wanted);
  if (index < 0) message.headers.push({ name, value });
  else message.headers.splice(index, 0, { name, value });
}
