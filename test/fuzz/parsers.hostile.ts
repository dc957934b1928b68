// budget: 60 s, beside others
import { describe, it } from 'mocha';
import { finds, fuzz, TARGETS, tryOne } from './fuzz.ts';

describe('the parsers in TypeScript', function () {
  this.timeout(110_000);

  for (const target of TARGETS) {
    for (const [name, input] of finds(target)) it(`stand what was found: ${name}`, () => tryOne(target, input));
    it(`${target.name} stands 100,000 mutations`, () => void fuzz(target, 100_000, 20_261_121));
  }
});
