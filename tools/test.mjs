// npm test: installs what the tests need, runs the gate, then every wire and hostile file in a process of its own, with a
// budget of wall time. Files that say so in their first line (`// budget: 30 s, beside others`) run four at a time, with
// ports of their own; those that listen to audio have the machine for themselves. The last line counts test cases.
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';

const { install, ROOT } = await import('./install.mjs');
const node = await install({ tests: true });
// The rest wants a newer Node than the distribution's.
if (process.execPath !== node) {
  const again = spawn(node, [new URL(import.meta.url).pathname, ...process.argv.slice(2)], { stdio: 'inherit' });
  again.on('exit', (status) => process.exit(status ?? 1));
  await new Promise(() => undefined);
}

const environment = { ...process.env, PATH: `${join(node, '..')}:${process.env.PATH}` };
const only = process.argv.slice(2).filter((text) => !text.startsWith('-'));
const files = fs
  .globSync(['test/**/*.wire.ts', 'test/**/*.hostile.ts'], { cwd: ROOT })
  .sort()
  .filter((file) => only.length === 0 || only.some((part) => file.includes(part)));
let passed = 0;
let failed = 0;
const started = Date.now();

if (only.length === 0) {
  const check = await run(node, [join(ROOT, 'tools/check.mjs')], 120);
  process.stdout.write(check.output);
  if (check.status === 0) passed += unitCases(check.output);
  else failed++;
}
for (const file of files.filter((name) => !besideOthers(name))) await runFile(file);
// The longest first, so that none is left alone at the end.
const queue = files.filter(besideOthers).sort((a, b) => budgetOf(b) - budgetOf(a));
await Promise.all(
  [0, 1, 2, 3].map(async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) await runFile(file);
  }),
);
console.log(`wall time ${((Date.now() - started) / 1000).toFixed(0)} s`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

async function runFile(file) {
  const budget = budgetOf(file);
  const result = await run(
    join(ROOT, 'node_modules/.bin/mocha'),
    ['--spec', file, '--ignore', 'test/**/*.test.ts', '--reporter', 'json', '--no-config', '--exit'],
    budget * 2,
  );
  const report = reportOf(result.output);
  passed += report.passes;
  failed += report.failures.length + (report.broken ? 1 : 0);
  const bad = report.failures.length > 0 || report.broken;
  const over = result.seconds > budget ? ' over its budget' : '';
  console.log(
    `${bad ? 'FAIL' : 'ok  '} ${file.padEnd(52)} ${String(report.passes).padStart(3)} passed ${result.seconds.toFixed(1).padStart(6)} s of ${budget} s${over}`,
  );
  for (const { fullTitle, err } of report.failures)
    console.log(`     ${fullTitle}\n${indent(err.stack ?? err.message ?? '')}`);
  if (report.broken) console.log(indent(result.output.slice(-4000)));
}

/** Seconds, from the file's first lines: `// budget: 40 s`. */
function budgetOf(file) {
  return Number(/^\/\/ budget: (\d+) s/m.exec(fs.readFileSync(join(ROOT, file), 'utf8'))?.[1] ?? 30);
}

function besideOthers(file) {
  return /^\/\/ budget: \d+ s, beside others$/m.test(fs.readFileSync(join(ROOT, file), 'utf8'));
}

function reportOf(output) {
  try {
    const report = JSON.parse(output.slice(output.indexOf('{\n  "stats"')));
    return { passes: report.stats.passes, failures: report.failures, broken: report.stats.tests === 0 };
  } catch {
    return { passes: 0, failures: [], broken: true };
  }
}

function unitCases(output) {
  return Number(/unit cases: (\d+)/.exec(output)?.[1] ?? 0);
}

function indent(text) {
  return text
    .split('\n')
    .map((line) => `       ${line}`)
    .join('\n');
}

function run(command, args, limitSeconds) {
  return new Promise((resolve) => {
    const start = Date.now();
    const child = spawn(command, args, { cwd: ROOT, env: environment, detached: true });
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    let errors = '';
    child.stderr.on('data', (chunk) => (errors = (errors + chunk).slice(-20_000)));
    // Its own group: a file that hangs takes its children with it.
    const timer = setTimeout(() => process.kill(-child.pid, 'SIGKILL'), limitSeconds * 1000);
    child.on('close', (status) => {
      clearTimeout(timer);
      resolve({
        status,
        output: status === 0 ? output : output + (output.includes('"stats"') ? '' : errors),
        seconds: (Date.now() - start) / 1000,
      });
    });
  });
}
