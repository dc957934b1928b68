import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { parse } from 'sdp-transform';
import { parseSdp } from '../../../media/session/parse-sdp.ts';
import { cutSdp, joinSdp } from '../../../media/session/sdp-text.ts';
import { readdirSync } from 'node:fs';
import { ANSWERS, OFFERS } from '../../fuzz/targets/sdp-texts.ts';
import { readTranscript } from '../ng/transcript.ts';
import { random } from '../../support/mutate.ts';

const folder = new URL('../ng/transcripts/', import.meta.url);
const texts = [
  ...readdirSync(folder).flatMap((file) =>
    readTranscript(file.replace(/\.txt$/, '')).flatMap(({ sdp, replySdp }) => [sdp, replySdp]),
  ),
  ...OFFERS,
  ...ANSWERS,
].filter((sdp) => sdp !== undefined);

const NUMBERS = new Set(['port', 'payload', 'rate', 'ptime', 'maxptime', 'id']);
/** What m=, c= and a= lines say. */
const OTHERS = new Set([
  'version',
  'origin',
  'name',
  'timing',
  'bandwidth',
  'description',
  'uri',
  'email',
  'phone',
  'invalid',
]);

/** All of the text at once, with numbers where numbers belong. */
function whole(text: string): unknown {
  const plain = (value: unknown, key?: string): unknown => {
    if (Array.isArray(value)) return value.map((item) => plain(item));
    if (typeof value === 'object' && value !== null) {
      const members = Object.entries(value).flatMap(([name, item]: [string, unknown]) =>
        NUMBERS.has(name) && !Number.isSafeInteger(item) ? [] : [[name, plain(item, name)]],
      );
      return Object.fromEntries(members) as unknown;
    }
    return typeof value === 'number' && !NUMBERS.has(key ?? '') ? String(value) : value;
  };
  return without(plain(parse(text)) as Record<string, unknown>);
}

function without(sdp: Record<string, unknown>): Record<string, unknown> {
  const media = (sdp['media'] as Record<string, unknown>[]).map((line) => kept(line));
  return { ...kept(sdp), media };
}

function kept(part: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(part).filter(([key]) => !OTHERS.has(key)));
}

const LETTERS = ' :/0-1a=*|;\r\n\u2028é';

/** Lines twice, away, elsewhere, or with a letter changed. */
function mutated(text: string, pick: (below: number) => number): string {
  const lines = text.split('\r\n');
  for (let turns = pick(4); turns >= 0; turns--) {
    const at = 1 + pick(Math.max(1, lines.length - 1));
    const line = lines[at] ?? '';
    const letter = pick(line.length + 1);
    const kind = pick(4);
    if (kind === 0) lines.splice(at, 1);
    else if (kind === 1) lines.splice(1 + pick(lines.length), 0, line);
    else lines[at] = line.slice(0, letter) + (LETTERS[pick(LETTERS.length)] ?? '') + line.slice(letter + kind - 2);
  }
  return lines.join('\r\n');
}

describe('SDP read line by line', () => {
  const check = (text: string) => {
    const cut = cutSdp(text);
    const read = cut && parseSdp(cut);
    if (!cut || !read) return false;
    assert.deepEqual(without(read as unknown as Record<string, unknown>), whole(joinSdp(cut)), text);
    return true;
  };

  it('says of every recorded text what sdp-transform says of the whole', () => {
    assert.ok(texts.length > 100);
    const good = texts.filter((text) => check(text));
    assert.ok(good.length > texts.length * 0.9, `${good.length} of ${texts.length}`);
  });

  it('and of texts with mistakes', () => {
    const pick = random(7);
    let good = 0;
    for (let i = 0; i < 3000; i++) if (check(mutated(texts[i % texts.length] as string, pick))) good++;
    assert.ok(good > 1000, String(good));
  });
});
