import { mutate, random } from '../support/mutate.ts';

const NUMBERS = [
  '0',
  '-1',
  '1',
  '255',
  '65535',
  '65536',
  '2147483648',
  '4294967296',
  '99999999999999999999',
  '1e9',
  '',
];
const SEPARATORS = ['\r\n', '\n', '\r', ' ', ';', ',', ':', '=', '/', '"', '<', '>', '\t', '\0', '%', '\\'];

/** What a datagram can hold. */
const MAX_BYTES = 60_000;

/**
 * Makes inputs out of seeds: whole lines moved, repeated, taken from another seed; tokens replaced by words of the
 * target, by numbers at the edges; and, less often, bytes changed. The same seed gives the same inputs.
 */
export class Mutator {
  readonly pick: (below: number) => number;
  readonly #seeds: readonly Buffer[];
  readonly #words: readonly string[];

  constructor(seed: number, seeds: readonly Buffer[], words: readonly string[]) {
    this.pick = random(seed);
    this.#seeds = seeds;
    this.#words = words;
  }

  next(): Buffer {
    let text = this.#seed();
    const changes = 1 + this.pick(4);
    for (let i = 0; i < changes; i++) text = this.#change(text).slice(0, MAX_BYTES);
    const bytes = Buffer.from(text, 'latin1');
    return this.pick(4) === 0 ? mutate(bytes, this.pick) : bytes;
  }

  #seed(): string {
    return (this.#seeds[this.pick(this.#seeds.length)] as Buffer).toString('latin1');
  }

  #change(text: string): string {
    return this.pick(2) === 0 ? this.#line(text) : this.#token(text);
  }

  #line(text: string): string {
    const end = text.includes('\r\n') ? '\r\n' : '\n';
    const lines = text.split(end);
    const at = this.pick(lines.length);
    switch (this.pick(6)) {
      case 0:
        lines.splice(at, 1);
        break;
      case 1:
        lines.splice(this.pick(lines.length), 0, lines[at] as string);
        break;
      case 2: {
        const other = this.#seed().split(end);
        lines.splice(at, 0, other[this.pick(other.length)] as string);
        break;
      }
      case 3: {
        const [line] = lines.splice(at, 1);
        lines.splice(this.pick(lines.length + 1), 0, line as string);
        break;
      }
      case 4: {
        const many = 1 + this.pick(40);
        lines.splice(at, 0, ...Array.from({ length: many }, () => lines[at] as string));
        break;
      }
      default:
        return text.slice(0, this.pick(text.length + 1));
    }
    return lines.join(end);
  }

  #token(text: string): string {
    // The token around a place: what stands between separators.
    const place = this.pick(text.length + 1);
    let from = place;
    while (from > 0 && !isSeparator(text.charCodeAt(from - 1))) from--;
    let to = place;
    while (to < text.length && !isSeparator(text.charCodeAt(to))) to++;
    const replaced = (word: string) => text.slice(0, from) + word + text.slice(to);
    switch (this.pick(6)) {
      case 0:
        return replaced(this.#one(NUMBERS));
      case 1:
        return replaced(this.#one(this.#words));
      case 2:
        return replaced('');
      case 3:
        return text.slice(0, place) + this.#one(SEPARATORS) + text.slice(place);
      case 4:
        // Long ones are rare: they cost more than they find.
        return replaced(
          text.slice(from, Math.min(to, from + 30)).repeat(2 + this.pick(this.pick(32) === 0 ? 2000 : 4)),
        );
      default:
        return text.slice(0, to) + this.#one(SEPARATORS) + this.#one(this.#words) + text.slice(to);
    }
  }

  #one(list: readonly string[]): string {
    return list[this.pick(list.length)] as string;
  }
}

function isSeparator(code: number): boolean {
  return code <= 0x20 || code === 0x2c || code === 0x2f || (code >= 0x3a && code <= 0x3e) || code === 0x22;
}
