import { Counter, Histogram, type Registry } from 'prom-client';
import type { Engine } from '../signaling/engine/mod.ts';
import type { CallTable } from '../signaling/invite/mod.ts';
import type { MediaNg } from '../signaling/media-ng/mod.ts';
import type { Admission, Bindings, Wakeups } from '../signaling/register/mod.ts';
import { registerEngineMetrics } from './engine-metrics.ts';
import { gaugesOf } from './gauges.ts';

/** The metrics of a signaling node; gauges are read when somebody asks. */
export function registerSignalingMetrics(
  register: Registry,
  parts: {
    readonly engine: Engine;
    readonly bindings: Bindings;
    readonly calls: CallTable;
    readonly media: MediaNg;
    readonly admission: Admission;
    readonly wakeups: Wakeups;
  },
) {
  const { engine, bindings, calls, media, admission, wakeups } = parts;
  const registers = [register];
  registerEngineMetrics(register, engine);
  const gauge = gaugesOf(register);
  gauge('causeway_calls', 'Calls in set-up or up.', () => calls.size);
  gauge('causeway_registrations', 'Addresses of record with at least one binding.', () => bindings.aors);
  gauge('causeway_bindings', 'Bindings.', () => bindings.size);
  gauge('causeway_register_waiting', 'Clients that were told to come back later.', () => admission.storm.waiting);
  gauge('causeway_limit_entries', 'Sources, users and pairs of both whose rates are known.', () => admission.size);
  gauge('causeway_push_waiting', 'Devices that are being woken for a call.', () => wakeups.waiting);
  gauge('causeway_ng_pending', 'Requests to media nodes without a reply yet.', () => media.stats.pending);
  gauge('causeway_media_nodes_lost', 'Media nodes that do not answer.', () => media.stats.lost);
  const counter = (name: string, help: string, label: string, read: () => Readonly<Record<string, number>>) =>
    new Counter({
      name,
      help,
      labelNames: [label],
      registers,
      collect() {
        this.reset();
        for (const [key, value] of Object.entries(read())) this.inc({ [label]: key }, value);
      },
    });
  counter('causeway_limited_total', 'Requests refused by a limit of rate.', 'limit', () => admission.counters);
  counter('causeway_pushes_total', 'Pushes and what became of them.', 'result', () => wakeups.counters);
  return {
    calls: new Counter({
      name: 'causeway_calls_total',
      help: 'Calls that have ended, by direction and final status of their set-up.',
      labelNames: ['direction', 'status'],
      registers,
    }),
    registrations: new Counter({
      name: 'causeway_registers_total',
      help: 'REGISTER requests that were answered, by result.',
      labelNames: ['result'],
      registers,
    }),
    refusals: new Counter({
      name: 'causeway_register_refusals_total',
      help: 'REGISTER requests that were refused, challenges among them, by status and reason.',
      labelNames: ['status', 'reason'],
      registers,
    }),
    setup: new Histogram({
      name: 'causeway_call_setup_seconds',
      help: 'From INVITE to 200 of calls that were answered.',
      buckets: [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30],
      registers,
    }),
  };
}
