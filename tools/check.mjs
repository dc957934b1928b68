// npm run check: format, lint, types, pure unit tests. Everything runs; the first failures are shown in full.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { install, ROOT } from './install.mjs';

const node = await install({ tests: true });
const bin = (name) => join(ROOT, 'node_modules/.bin', name);
const steps = [
  ['format', bin('prettier'), ['--check', '--log-level', 'warn', '.']],
  ['lint', bin('oxlint'), ['--quiet']],
  ['types', bin('tsc'), ['-p', '.']],
  ['unit', bin('mocha'), []],
];
const environment = { ...process.env, PATH: `${join(node, '..')}:${process.env.PATH}` };
let failed = 0;
const started = Date.now();
await Promise.all(
  steps.map(async ([name, command, args]) => {
    const { status, output, seconds } = await run(command, args);
    console.log(`${status === 0 ? 'ok  ' : 'FAIL'} ${name.padEnd(8)} ${seconds.toFixed(1)} s`);
    const cases = /(\d+) passing/.exec(output)?.[1];
    if (cases !== undefined) console.log(`     unit cases: ${cases}`);
    if (status === 0) return;
    failed++;
    console.log(output);
  }),
);
console.log(
  `check: ${steps.length - failed} passed, ${failed} failed in ${((Date.now() - started) / 1000).toFixed(1)} s`,
);
process.exit(failed === 0 ? 0 : 1);

function run(command, args) {
  return new Promise((resolve) => {
    const start = Date.now();
    const child = spawn(command, args, { cwd: ROOT, env: environment });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
    child.on('error', (error) => resolve({ status: 1, output: String(error), seconds: 0 }));
    child.on('close', (status) => resolve({ status, output, seconds: (Date.now() - start) / 1000 }));
  });
}
