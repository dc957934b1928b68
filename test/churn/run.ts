// node test/churn/run.ts --calls=100000 --seed=1: what the wire test does, for longer. Memory is looked at every tenth.
import { assertNothingLeft } from './back-to-zero.ts';
import { churn } from './churn.ts';
import { churnNode, TIMEOUT_SECONDS } from './node.ts';

const option = (name: string, otherwise: string) =>
  process.argv.find((text) => text.startsWith(`--${name}=`))?.slice(name.length + 3) ?? otherwise;
const calls = Number(option('calls', '100000'));
const seed = Number(option('seed', '1'));
const MEGABYTE = 1 << 20;

await using node = await churnNode(15_200);
const before = node.usage();
const resident: number[] = [];
const started = performance.now();
const done = await churn({
  calls,
  seed,
  ask: (command) => node.ask(command),
  every: Math.ceil(calls / 10),
  pause(begun) {
    resident.push(node.usage().bytes / MEGABYTE);
    console.log(`${begun} calls, ${resident.at(-1)?.toFixed(0)} MB resident`);
    return Promise.resolve();
  },
});
const seconds = (performance.now() - started) / 1000;
console.log(`${done.commands} commands and ${done.datagrams} datagrams in ${seconds.toFixed(0)} s, seed ${seed}`);
console.log(`without a free port: ${done.withoutPorts}`);
for (const [kind, count] of Object.entries(done.calls)) console.log(`${String(count).padStart(7)} ${kind}`);
await assertNothingLeft(node, before, TIMEOUT_SECONDS);
// By half of it all that is bounded is full.
const warm = resident[4] ?? 0;
const growth = node.usage().bytes / MEGABYTE - warm;
console.log(`memory: ${warm.toFixed(0)} MB after half of the calls, ${growth.toFixed(1)} MB more at the end`);
if (growth > 30) throw new Error('it has grown');
console.log('ok   nothing is left: sessions, endpoints, paths, transcoders, ports, native bytes, threads, descriptors');
