import { parseContacts, parseNameAddr, parseUri, type SipMessage } from '../message/mod.ts';
import type { Flow } from '../io/mod.ts';

/** Contacts whose flow is gone, remembered as such until they would have expired. */
const MAX_GONE = 10_000;

interface Entry {
  readonly flow: Flow;
  readonly until: number;
  /** Nothing but this flow leads there: a WebSocket, or a client that has asked for it (RFC 5626 §4.2). */
  readonly flowOnly: boolean;
}

/**
 * By which flow a registered contact came (RFC 5626 §5.3): the Contact of a REGISTER or SUBSCRIBE that was accepted.
 * Needed for clients whose Contact cannot be reached, as `xyz.invalid` of a browser. Bounded: the oldest entry goes.
 */
export class RegisteredFlows {
  readonly #byKey = new Map<string, Entry>();
  readonly #byFlow = new Map<string, Set<string>>();
  readonly #gone = new Map<string, number>();
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#byKey.size;
  }

  /** Contacts that cannot be reached any more. */
  get gone(): number {
    return this.#gone.size;
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
      const outbound = contact.params.has('reg-id') || /;ob(?=[;>?\s]|$)/i.test(contact.uri);
      const flowOnly = flow.protocol === 'ws' || flow.protocol === 'wss' || (outbound && flow.reliable);
      this.#gone.delete(key);
      if (seconds === 0) this.#forget(key);
      else this.#note(key, { flow, until: now + (Number.isFinite(seconds) ? seconds : 3600) * 1000, flowOnly });
    }
  }

  /** `gone`: it was reached by a connection that is no more, and there is no other way to it. */
  find(uri: string, now: number): Flow | 'gone' | undefined {
    const key = contactKey(uri);
    if (key === undefined) return undefined;
    const entry = this.#byKey.get(key);
    if (entry && !entry.flow.closed && entry.until >= now) return entry.flow;
    if (entry) this.#forget(key);
    const until = this.#gone.get(key);
    if (until === undefined) return undefined;
    if (until >= now) return 'gone';
    this.#gone.delete(key);
    return undefined;
  }

  /** The contact keys that lived on the flow; they are forgotten. */
  closed(flow: Flow): string[] {
    const keys = [...(this.#byFlow.get(flow.id) ?? [])];
    for (const key of keys) {
      const entry = this.#byKey.get(key);
      this.#forget(key);
      if (entry?.flowOnly === true) this.#remember(key, entry.until);
    }
    return keys;
  }

  #remember(key: string, until: number): void {
    this.#gone.delete(key);
    this.#gone.set(key, until);
    if (this.#gone.size > MAX_GONE) this.#gone.delete(this.#gone.keys().next().value as string);
  }

  #note(key: string, entry: Entry): void {
    this.#forget(key);
    this.#byKey.set(key, entry);
    const { flow } = entry;
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

/** `user@host:port` of a contact URI or name-addr: two phones behind one address differ by the port alone. */
export function contactKey(text: string): string | undefined {
  const uri = parseUri(parseNameAddr(text)?.uri ?? text);
  if (!uri) return undefined;
  return `${uri.user ?? ''}@${uri.host}:${uri.port ?? ''}`;
}

/** The expiry that the registrar's answer names for this contact. */
function granted(response: SipMessage, uri: string): string | undefined {
  const contacts = parseContacts(response.getAll('contact'));
  if (!contacts || contacts.type === 'all') return undefined;
  return contacts.contacts.find((contact) => contact.uri === uri)?.params.get('expires');
}
