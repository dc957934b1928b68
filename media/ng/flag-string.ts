import type { Bencode } from '../../vocabulary/mod.ts';

/** Words with a prefix that belong into a list of their own. */
const LISTS = ['replace', 'rtcp-mux', 'bundle', 'supports'] as const;
/** Keys that may come several times. */
const REPEATED = new Set(['direction', 'flags', 'from-tags', ...LISTS]);
const MAX_WORDS = 200;

/**
 * The words of `rtpp-flags`, as a proxy's script has them, as keys: `replace-origin ICE=force rtcp-mux-demux
 * direction=[in out] codec-mask-opus`. Names of the call and its SDP do not come from there. Never throws.
 */
export function readFlagString(text: string): Record<string, Bencode> {
  const out: Record<string, Bencode> = Object.create(null) as Record<string, Bencode>;
  const put = (key: string, words: readonly string[]): void => {
    if (REPEATED.has(key)) out[key] = [...((out[key] ?? []) as string[]), ...words];
    else if (words.length === 1) out[key] ??= words[0] as string;
    else out[key] ??= [...words];
  };
  for (const word of wordsOf(text)) {
    const [, key, value] = /^([^=\s[]+)=(.*)$/s.exec(word) ?? [];
    if (key !== undefined && value !== undefined) {
      if (/^(call-?id|sdp|command|via-branch|rtpp[-_]flags)$/i.test(key)) continue;
      put(key, /^\[.*\]$/s.test(value) ? wordsOf(value.slice(1, -1)) : [value]);
      continue;
    }
    const list = LISTS.find((name) => word.startsWith(`${name}-`));
    if (list) put(list, [word.slice(list.length + 1)]);
    else if (word === 'internal' || word === 'external') put('direction', [word]);
    else put('flags', [word]);
  }
  return out;
}

/** At spaces, but not within brackets. */
function wordsOf(text: string): string[] {
  return (text.match(/[^\s[]*\[[^\]]*\]|\S+/g) ?? []).slice(0, MAX_WORDS);
}
