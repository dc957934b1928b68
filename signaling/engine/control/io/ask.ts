import { addressOf, parseRouting, questionOf, type RequestHandler, type Routing } from '../routing.ts';
import type { SipMessage } from '../../message/mod.ts';

const ANSWER_MS = 3000;
const MAX_ANSWER = 65_536;
const UNREACHABLE: Routing = { type: 'reject', status: 480, reason: undefined };
const NONSENSE: Routing = { type: 'reject', status: 500, reason: undefined };

/** What a handler wants done with a request: known at once for an application's address, asked of a web service. Never rejects. */
export async function askHandler(
  handler: RequestHandler,
  request: SipMessage,
  from: { readonly protocol: string; readonly address: string },
): Promise<Routing> {
  const address = addressOf(handler.url);
  if (address) return address;
  try {
    const posts = handler.httpMethod === 'POST';
    const response = await fetch(questionOf(handler.url, request, from), {
      method: posts ? 'POST' : 'GET',
      headers: { accept: 'application/json', ...(posts ? { 'content-type': 'text/plain' } : {}) },
      ...(posts ? { body: request.toString() } : {}),
      redirect: 'error',
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    const text = await textOf(response);
    return (response.ok && text !== undefined && parseRouting(JSON.parse(text))) || NONSENSE;
  } catch (error) {
    return error instanceof SyntaxError ? NONSENSE : UNREACHABLE;
  }
}

/** `undefined` when it is longer than it may be; no more than that is read, and nothing of it stays open. */
async function textOf({ body }: Response): Promise<string | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body ?? []) {
    length += chunk.byteLength;
    if (length > MAX_ANSWER) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
