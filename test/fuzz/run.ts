// node test/fuzz/run.ts --inputs=100000 --seed=1 --only=sdp,sip: the parsers in TypeScript under mutation.
import { fuzz, TARGETS } from './fuzz.ts';

const option = (name: string, otherwise: string) =>
  process.argv.find((text) => text.startsWith(`--${name}=`))?.slice(name.length + 3) ?? otherwise;

const inputs = Number(option('inputs', '100000'));
const seed = Number(option('seed', '1'));
const only = option('only', '').split(',').filter(Boolean);
let failed = 0;
for (const target of TARGETS.filter(({ name }) => only.length === 0 || only.includes(name))) {
  const started = performance.now();
  try {
    const count = fuzz(target, inputs, seed);
    console.log(
      `ok   fuzz ${target.name.padEnd(10)} ${count} inputs ${((performance.now() - started) / 1000).toFixed(1)} s`,
    );
  } catch (error) {
    failed++;
    console.log(`FAIL fuzz ${(error as Error).message}\n${(error as { cause?: Error }).cause?.stack?.slice(-1500)}`);
  }
}
process.exit(failed === 0 ? 0 : 1);
