import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, it } from 'mocha';

const ROOT = new URL('../..', import.meta.url).pathname;
/** Who may import whom: ARCHITECTURE.md, "The import rule". */
const MAY: Readonly<Record<string, readonly string[]>> = {
  vocabulary: [],
  codecs: ['vocabulary'],
  media: ['vocabulary', 'codecs'],
  signaling: ['vocabulary'],
  'pop-registry': ['vocabulary'],
  console: [],
  demo: ['vocabulary', 'signaling'],
};

describe('the import rule', () => {
  for (const [folder, allowed] of Object.entries(MAY)) {
    it(`${folder} imports ${['itself', ...allowed].join(', ')} and nothing else of this repository`, () => {
      const wrong: string[] = [];
      for (const file of globSync(`${folder}/**/*.ts`, { cwd: ROOT, exclude: ['**/build/**', '**/dist/**'] })) {
        for (const [, path] of readFileSync(join(ROOT, file), 'utf8').matchAll(/from '(\.[^']+)'/g)) {
          const target = normalize(join(dirname(file), path as string)).split('/')[0] as string;
          if (target !== folder && !allowed.includes(target)) wrong.push(`${file} → ${path}`);
        }
      }
      assert.deepEqual(wrong, []);
    });
  }

  it('keeps clocks and timers of the network out of protocol logic', () => {
    const wrong: string[] = [];
    const files = globSync('{signaling,media,codecs,pop-registry}/**/*.ts', { cwd: ROOT });
    for (const file of files) {
      if (/\/io\/|engine\/engine\.ts$|pop-registry\/service\.ts$/.test(file)) continue;
      const text = readFileSync(join(ROOT, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
      if (/\b(Date\.now|performance\.now|setTimeout|setInterval)\b/.test(text)) wrong.push(file);
    }
    assert.deepEqual(wrong, []);
  });
});
