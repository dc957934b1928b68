import type { Bencode } from '../../vocabulary/mod.ts';
import { added, changed, type SdpLine, type SdpText } from './sdp-text.ts';

/** By media type; `none` and `global` are the session part. */
export type SdpChanges = ReadonlyMap<string, AttributeChanges>;

export interface AttributeChanges {
  readonly add: readonly string[];
  readonly remove: readonly string[];
  readonly substitute: readonly (readonly [string, string])[];
}

/** Of one command and media type. */
const MAX_CHANGES = 64;
const SESSION = 'none';

/**
 * ng's `sdp-attr`: `{audio: {add: [ptime:30], remove: [ssrc], substitute: [[from, to]]}}`, and its other spelling among the
 * flags, `sdp-attr-remove-audio-ssrc` with `--` for `=`, `..` for a space and `>` between the two of a substitution.
 * Whatever makes no sense is passed over; never throws.
 */
export function readChanges(value: Bencode | undefined, flags: Iterable<string>): SdpChanges {
  const found = new Map<string, { add: string[]; remove: string[]; substitute: [string, string][] }>();
  const of = (type: string) => {
    const part = type === 'global' ? SESSION : type;
    let changes = found.get(part);
    if (!changes) found.set(part, (changes = { add: [], remove: [], substitute: [] }));
    return changes;
  };
  const put = <T>(list: T[], items: readonly T[]): void => void list.push(...items.slice(0, MAX_CHANGES - list.length));
  for (const [type, commands] of entriesOf(value)) {
    for (const [command, values] of entriesOf(commands)) {
      if (!Array.isArray(values)) continue;
      const items = values as readonly Bencode[];
      const words = wordsOf(items);
      if (command === 'add') put(of(type).add, words.filter(isLine));
      else if (command === 'remove') put(of(type).remove, words);
      else if (command === 'substitute') {
        // One pair, or a list of pairs.
        const pairs = words.length > 0 ? [words] : items.map((item) => wordsOf(Array.isArray(item) ? item : []));
        put(
          of(type).substitute,
          pairs.map(pairOf).filter((pair) => pair !== undefined),
        );
      }
    }
  }
  for (const flag of flags) {
    const match = /^sdp-attr-(add|remove|substitute)-([a-z]+)-(.+)$/.exec(flag);
    if (!match) continue;
    const [, command, type = '', raw = ''] = match;
    const text = raw.replaceAll('--', '=').replaceAll('..', ' ');
    if (command === 'add') put(of(type).add, [text].filter(isLine));
    else if (command === 'remove') put(of(type).remove, [text]);
    else
      put(
        of(type).substitute,
        [pairOf(text.split('>'))].filter((pair) => pair !== undefined),
      );
  }
  return found;
}

/** What is written, with the attributes changed that somebody wants changed. */
export function withChanges(text: SdpText, changes: SdpChanges): SdpText {
  if (changes.size === 0) return text;
  return {
    session: changedPart(text.session, changes.get(SESSION)),
    media: text.media.map((part) => changedPart(part, changes.get(/^m=(\S*)/.exec(part[0]?.text ?? '')?.[1] ?? ''))),
  };
}

function changedPart(part: SdpLine[], changes: AttributeChanges | undefined): SdpLine[] {
  if (!changes) return part;
  const { add, remove, substitute } = changes;
  const kept = part
    .filter((line) => !remove.some((pattern) => matches(line.text, pattern)))
    .map((line) => {
      const to = substitute.find(([from]) => matches(line.text, from))?.[1];
      return to === undefined ? line : changed(line, `a=${to}`);
    });
  const there = new Set(kept.map(({ text }) => text));
  return [
    ...kept,
    ...add
      .map((value) => `a=${value}`)
      .filter((line) => !there.has(line))
      .map(added),
  ];
}

/** `a=foo:bar baz` is `foo`, `foo:bar` and `foo:bar baz`. */
function matches(line: string, pattern: string): boolean {
  if (!line.startsWith('a=') || !line.startsWith(pattern, 2)) return false;
  const next = line[2 + pattern.length];
  return next === undefined || next === ':' || next === ' ';
}

function pairOf(words: readonly string[]): [string, string] | undefined {
  const [from, to] = words;
  return from && to && isLine(to) ? [from, to] : undefined;
}

/** It stands in a line of its own, and makes no other. */
function isLine(text: string): boolean {
  // oxlint-disable-next-line no-control-regex -- they are what must not be there
  return text.length <= 1024 && !/[\u0000-\u001f]/.test(text);
}

function entriesOf(value: Bencode | undefined): [string, Bencode][] {
  return typeof value === 'object' && !Array.isArray(value) ? Object.entries(value as Record<string, Bencode>) : [];
}

function wordsOf(items: readonly Bencode[]): string[] {
  return items.filter((item): item is string => typeof item === 'string' && item !== '');
}
