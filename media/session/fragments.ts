import type { IceCandidate } from '../dataplane/mod.ts';
import { candidatesOf, joined } from './candidates.ts';
import type { RemoteMedia } from './remote-media.ts';
import { SessionError } from './session.ts';

/** Candidates that trickle in: the body of `application/trickle-ice-sdpfrag` (RFC 8840 §9). */
export interface Fragment {
  readonly parts: readonly FragmentPart[];
}

interface FragmentPart {
  /** Which line: by its mid, else by its number in the fragment, from 0. */
  readonly mid: string | undefined;
  readonly index: number;
  readonly ufrag: string | undefined;
  readonly candidates: readonly IceCandidate[];
}

const MAX_LINES = 500;

/** Candidates in front of the first m= line are of the first one. `undefined` when there is no ICE in it. Never throws. */
export function readFragment(body: string): Fragment | undefined {
  const lines = body.split(/\r\n|\r|\n/, MAX_LINES + 1);
  if (lines.length > MAX_LINES) return undefined;
  const cut: { text: string; end: string }[][] = [[]];
  for (const text of lines) {
    if (text.startsWith('m=')) cut.push([]);
    cut.at(-1)?.push({ text, end: '\r\n' });
  }
  const value = (part: readonly { readonly text: string }[], name: string) =>
    part
      .find(({ text }) => text.startsWith(`a=${name}:`))
      ?.text.slice(name.length + 3)
      .trim();
  const [head = [], ...media] = cut;
  const ufrag = value(head, 'ice-ufrag');
  const above = candidatesOf(head);
  const parts = (media.length === 0 ? [[]] : media).map((part, index): FragmentPart => {
    const own = candidatesOf(part);
    return {
      mid: value(part, 'mid') ?? (media.length === 0 ? value(head, 'mid') : undefined),
      index,
      ufrag: value(part, 'ice-ufrag') ?? ufrag,
      candidates: index === 0 ? joined(above, own) : own,
    };
  });
  const empty = parts.every((part) => part.ufrag === undefined && part.candidates.length === 0);
  return empty ? undefined : { parts };
}

/**
 * The line with the candidates that are meant for it. Those of another ICE generation are passed over: `taken` says whether
 * any part was for this one.
 */
export function withFragment(
  media: RemoteMedia,
  index: number,
  { parts }: Fragment,
): { readonly media: RemoteMedia; readonly taken: boolean } {
  const mine = parts.filter(
    (part) =>
      media.ice !== undefined &&
      part.ufrag === media.ice.ufrag &&
      (part.mid === undefined || media.mid === undefined ? part.index === index : part.mid === media.mid),
  );
  const candidates = mine.reduce((all, part) => joined(all, part.candidates), media.candidates);
  return { media: candidates === media.candidates ? media : { ...media, candidates }, taken: mine.length > 0 };
}

interface Waiting {
  readonly tag: string;
  readonly fragment: Fragment;
  readonly at: number;
}

/** A fragment may come before the offer that it belongs to, by so much (ms). */
const EARLY = 3000;
const MAX_WAITING = 1000;
const MAX_OF_CALL = 16;

/**
 * Fragments of parties that have not spoken yet: of a call that stands until it ends, of one that is not known for 3 s.
 * Times are epoch ms.
 */
export class WaitingFragments {
  readonly #calls = new Map<string, Waiting[]>();
  readonly #knows: (callId: string) => boolean;
  #size = 0;

  /** `knows`: calls that stand. */
  constructor(knows: (callId: string) => boolean) {
    this.#knows = knows;
  }

  get size(): number {
    return this.#size;
  }

  /** @throws SessionError when too many wait already. */
  add(callId: string, tag: string, fragment: Fragment, now: number): void {
    if (this.#size >= MAX_WAITING) this.sweep(now);
    const waiting = this.#calls.get(callId) ?? [];
    if (this.#size >= MAX_WAITING || waiting.length >= MAX_OF_CALL)
      throw new SessionError('full', 'Too many ICE fragments are waiting');
    waiting.push({ tag, fragment, at: now });
    this.#calls.set(callId, waiting);
    this.#size++;
  }

  /** Those of a party that speaks now, of a call since `createdAt`. */
  take(callId: string, tag: string, createdAt: number): readonly Fragment[] {
    const waiting = this.#calls.get(callId);
    if (!waiting) return [];
    const taken = waiting.filter((entry) => entry.tag === tag);
    this.#keep(callId, waiting, (entry) => entry.tag !== tag);
    return taken.filter(({ at }) => at >= createdAt - EARLY).map(({ fragment }) => fragment);
  }

  forget(callId: string): void {
    this.#keep(callId, this.#calls.get(callId) ?? [], () => false);
  }

  sweep(now: number): void {
    for (const [callId, waiting] of this.#calls)
      if (!this.#knows(callId)) this.#keep(callId, waiting, ({ at }) => now - at < EARLY);
  }

  #keep(callId: string, waiting: readonly Waiting[], stays: (entry: Waiting) => boolean): void {
    const left = waiting.filter(stays);
    this.#size -= waiting.length - left.length;
    if (left.length > 0) this.#calls.set(callId, left);
    else this.#calls.delete(callId);
  }
}
