import { parseContacts, parseNameAddr, parseUri, type SipMessage } from '../message/mod.ts';
import type { Flow } from '../io/mod.ts';

/**
 * By which flow a registered contact came (RFC 5626 §5.3 without its tokens): `user@host` of the Contact of a
 * REGISTER or SUBSCRIBE that was accepted. Needed for clients whose Contact cannot be reached, as `xyz.invalid`
 * of a browser. Bounded: the oldest entry goes.
 */
export class RegisteredFlows {
  readonly #byKey = new Map<string, { readonly flow: Flow; readonly until: number }>();
  readonly #byFlow = new Map<string, Set<string>>();
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#byKey.size;
  }

  /** Notes what a 2xx to a REGISTER or SUBSCRIBE has granted. */
  learn(request: SipMessage, response: SipMessage, flow: Flow, now: number): void {
    const contacts = parseContacts(request.getAll('contact'));
    if (!contacts || contacts.type === 'all') return;
    const header = Number(response.get('expires') ?? request.get('expires') ?? '');
    for (const contact of contacts.contacts) {
      const key = contactKey(contact.uri);
      if (key === undefined) continue;
      const own = contact.params.get('expires') ?? granted(response, contact.uri);
      const seconds = Number(own ?? (Number.isFinite(header) ? header : 3600));
      if (seconds === 0) this.#forget(key);
      else this.#note(key, flow, now + (Number.isFinite(seconds) ? seconds : 3600) * 1000);
    }
  }

  find(uri: string, now: number): Flow | undefined {
    const key = contactKey(uri);
    const entry = key === undefined ? undefined : this.#byKey.get(key);
    if (!entry) return undefined;
    if (entry.flow.closed || entry.until < now) {
      this.#forget(key as string);
      return undefined;
    }
    return entry.flow;
  }

  /** The contact keys that lived on the flow; they are forgotten. */
  closed(flow: Flow): string[] {
    const keys = [...(this.#byFlow.get(flow.id) ?? [])];
    for (const key of keys) this.#forget(key);
    return keys;
  }

  #note(key: string, flow: Flow, until: number): void {
    this.#forget(key);
    this.#byKey.set(key, { flow, until });
    const keys = this.#byFlow.get(flow.id);
    if (keys) keys.add(key);
    else this.#byFlow.set(flow.id, new Set([key]));
    if (this.#byKey.size <= this.#limit) return;
    const oldest = this.#byKey.keys().next().value;
    if (oldest !== undefined) this.#forget(oldest);
  }

  #forget(key: string): void {
    const entry = this.#byKey.get(key);
    if (!entry) return;
    this.#byKey.delete(key);
    const keys = this.#byFlow.get(entry.flow.id);
    keys?.delete(key);
    if (keys?.size === 0) this.#byFlow.delete(entry.flow.id);
  }
}

/** `user@host` of a contact URI or name-addr. */
export function contactKey(text: string): string | undefined {
  const uri = parseUri(parseNameAddr(text)?.uri ?? text);
  if (!uri) return undefined;
  return `${uri.user ?? ''}@${uri.host}`;
}

/** The expiry that the registrar's answer names for this contact. */
function granted(response: SipMessage, uri: string): string | undefined {
  const contacts = parseContacts(response.getAll('contact'));
  if (!contacts || contacts.type === 'all') return undefined;
  return contacts.contacts.find((contact) => contact.uri === uri)?.params.get('expires');
}
