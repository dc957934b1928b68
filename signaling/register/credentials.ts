import { parseAuth } from '../engine/mod.ts';
import { readCredentials, type DigestCredentials } from './digest.ts';
import type { Headers } from './request.ts';

export type Credentials =
  { readonly type: 'digest'; readonly digest: DigestCredentials } | { readonly type: 'bearer'; readonly token: string };

/** RFC 6750 §2.1: b64token. */
const BEARER = /^Bearer\s+([A-Za-z0-9\-._~+/]+=*)$/i;

/**
 * The first credentials that can be read; a client may answer several challenges at once (RFC 8760 §2.4). Those of
 * REGISTER stand in Authorization, those of everything else in Proxy-Authorization, or where a client put them.
 */
export function readAuthorization(method: string, request: Headers): Credentials | undefined {
  const names = method === 'REGISTER' ? ['authorization'] : ['proxy-authorization', 'authorization'];
  for (const name of names) {
    const one = request.get(name);
    if (one === undefined) continue;
    for (const line of request.getAll?.(name) ?? [one]) {
      const credentials = remembered(line);
      if (credentials) return credentials;
    }
  }
  return undefined;
}

/** The same line is read twice, for the challenge and for the password; reading it costs as much as proving it. */
const known = new Map<string, Credentials | undefined>();
const KNOWN_LIMIT = 256;
const KNOWN_LENGTH = 1024;

function remembered(line: string): Credentials | undefined {
  if (line.length > KNOWN_LENGTH) return read(line);
  const found = known.get(line);
  if (found) {
    known.delete(line);
    return found;
  }
  const credentials = read(line);
  if (known.size >= KNOWN_LIMIT) known.clear();
  known.set(line, credentials);
  return credentials;
}

function read(line: string): Credentials | undefined {
  for (const value of apart(line)) {
    const token = BEARER.exec(value)?.[1];
    if (token !== undefined) return { type: 'bearer', token };
    const parsed = parseAuth(value);
    const digest = parsed?.scheme === 'digest' ? readCredentials(parsed.params) : undefined;
    if (digest) return { type: 'digest', digest };
  }
  return undefined;
}

/** drachtio-srf joins the lines of a header by commas. */
function apart(value: string): string[] {
  return value.split(/,\s*(?=(?:Digest|Bearer)\s)/i).map((part) => part.trim());
}
