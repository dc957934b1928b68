import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  hash,
  hkdfSync,
  randomBytes,
  type KeyObject,
} from 'node:crypto';
import type { Private } from '../../vocabulary/mod.ts';
import { escapeUser, parseUri } from '../engine/mod.ts';
import type { Binding } from './binding.ts';

/** Whom a GRUU in a R-URI means (RFC 5627 §5.3). */
export type GruuTarget =
  | { readonly type: 'public'; readonly user: string; readonly instance: string }
  | { readonly type: 'temporary'; readonly tenant: string; readonly user: string; readonly matches: Matches }
  /** It looks like one of ours and is none. */
  | { readonly type: 'void' };

type Matches = (binding: Binding) => boolean;

const PREFIX = 'tgruu.';
const ALGORITHM = 'aes-256-gcm';

/**
 * Globally routable user agent URIs (RFC 5627). Public ones name the instance. Temporary ones are sealed by a key that
 * the nodes of the PoP share, so that no table is kept and any node can read them: tenant, user, instance and the time
 * at which the registration began; two of them cannot be told to be of the same user.
 */
export class Gruus {
  readonly #key: KeyObject;

  constructor(secret: Private<Buffer>) {
    this.#key = createSecretKey(Buffer.from(hkdfSync('sha256', secret.reveal(), '', 'causeway gruu', 32)));
  }

  public(user: string, domain: string, instance: string): string {
    return `sip:${escapeUser(user)}@${domain};gr=${escapeParam(unbracketed(instance))}`;
  }

  temporary(tenant: string, user: string, domain: string, binding: Binding): string {
    const iv = randomBytes(12);
    const cipher = createCipheriv(ALGORITHM, this.#key, iv);
    const text = `${tenant}\n${user}\n${fingerprint(binding)}`;
    const sealed = Buffer.concat([iv, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
    return `sip:${PREFIX}${sealed.toString('base64url')}@${domain};gr`;
  }

  /** `undefined`: no GRUU. */
  read(uri: string): GruuTarget | undefined {
    const parsed = parseUri(uri);
    const instance = parsed?.params.get('gr');
    if (parsed?.user === undefined || instance === undefined) return undefined;
    if (instance !== '') return { type: 'public', user: parsed.user, instance: unescapeParam(instance) };
    if (!parsed.user.startsWith(PREFIX)) return { type: 'void' };
    const opened = this.#open(Buffer.from(parsed.user.slice(PREFIX.length), 'base64url'));
    const [tenant, user, print] = opened?.split('\n') ?? [];
    if (tenant === undefined || user === undefined || print === undefined) return { type: 'void' };
    return { type: 'temporary', tenant, user, matches: (binding) => fingerprint(binding) === print };
  }

  #open(sealed: Buffer): string | undefined {
    if (sealed.length < 29 || sealed.length > 512) return undefined;
    try {
      const decipher = createDecipheriv(ALGORITHM, this.#key, sealed.subarray(0, 12), { authTagLength: 16 });
      decipher.setAuthTag(sealed.subarray(-16));
      return decipher.update(sealed.subarray(12, -16), undefined, 'utf8') + decipher.final('utf8');
    } catch {
      return undefined;
    }
  }
}

/** The instance of a binding as the `gr` parameter has it. */
export function sameInstance(binding: Binding, instance: string): boolean {
  return binding.instance !== undefined && unbracketed(binding.instance).toLowerCase() === instance.toLowerCase();
}

/** Another Call-ID begins another registration: what was given out under the last one is void (§5.1). */
function fingerprint(binding: Binding): string {
  const text = `${binding.instance ?? ''}\n${binding.callId}\n${binding.since ?? 0}`;
  return hash('sha256', text, 'base64url').slice(0, 16);
}

function unbracketed(instance: string): string {
  return instance.replace(/^<|>$/g, '');
}

function escapeParam(text: string): string {
  return text.replace(/[^A-Za-z0-9\-_.!~*'()[\]/:&+$]/gu, (char) => encodeURIComponent(char));
}

function unescapeParam(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
