import { createHmac, timingSafeEqual } from 'node:crypto';

const PREFIX = 'cw-';

/**
 * The user part of our Record-Route: it proves that a request with this Route belongs to a call that was proxied here,
 * so that nobody else can send requests through us, and it names the connection to the party on that side, if it has one
 * (the flow token of RFC 5626 §5.3).
 */
export function routeToken(secret: string, callId: string, flowId: string): string {
  return `${PREFIX}${proof(secret, callId, flowId)}${flowId === '' ? '' : `-${flowId}`}`;
}

/** @returns the name of the flow, '' when the token has none; undefined when the token is not ours. */
export function readRouteToken(secret: string, callId: string, token: string | undefined): string | undefined {
  if (token?.startsWith(PREFIX) !== true) return undefined;
  const [given = '', flowId = ''] = token.slice(PREFIX.length).split('-');
  const wanted = proof(secret, callId, flowId);
  if (given.length !== wanted.length || !timingSafeEqual(Buffer.from(given), Buffer.from(wanted))) return undefined;
  return flowId;
}

function proof(secret: string, callId: string, flowId: string): string {
  return createHmac('sha256', secret).update(`${flowId} ${callId}`).digest('hex').slice(0, 20);
}
