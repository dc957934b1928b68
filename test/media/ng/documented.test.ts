import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'mocha';
import { COMMANDS, knownKeys, LATER_COMMANDS } from '../../../media/ng/spelling.ts';

const DOCUMENT = readFileSync(new URL('../../../docs/ng.md', import.meta.url), 'utf8');

/** Of what a proxy or a client library sends: docs/ng.md says what becomes of it. */
describe('docs/ng.md', () => {
  const words = new Set(DOCUMENT.toLowerCase().split(/[^a-z0-9.-]+/));

  it('has a word about every key that is known', () => {
    const own = new Set(['command']);
    const missing = [...knownKeys()].filter((key) => !own.has(key) && !words.has(key.toLowerCase()));
    assert.deepEqual(missing, []);
  });

  it('has a row for every command', () => {
    const rows = DOCUMENT.split('\n').filter((line) => line.startsWith('| '));
    const said = rows.map((line) =>
      (line.split('|')[1] ?? '').toLowerCase().replace(/(\w+)\/(un\w+) (\w+)/g, '$1 $3, $2 $3'),
    );
    const missing = [...Object.keys(COMMANDS), ...LATER_COMMANDS].filter(
      (command) => !said.some((row) => row.split(',').some((name) => name.trim() === command.toLowerCase())),
    );
    assert.deepEqual(missing, []);
  });

  it('says by which test a key is proven', () => {
    const table = DOCUMENT.slice(DOCUMENT.indexOf('## Keys')).split('\n');
    for (const row of table.filter((line) => /^\| [^-k]/.test(line)))
      assert.match(row, /\| [A-Z][A-Z\d]?(?:, [A-Z][A-Z\d]?)* +\|$/, row);
  });
});
