import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Engine } from '../signaling/engine/mod.ts';
import type { CallTable } from '../signaling/invite/mod.ts';
import type { MediaNg } from '../signaling/media-ng/mod.ts';
import type { Bindings } from '../signaling/register/mod.ts';
import { registerTransportMetrics } from './transport-metrics.ts';

/** The metrics of a signaling node; gauges are read when somebody asks. */
export function registerSignalingMetrics(
  register: Registry,
  parts: { readonly engine: Engine; readonly bindings: Bindings; readonly calls: CallTable; readonly media: MediaNg },
) {
  const { engine, bindings, calls, media } = parts;
  const registers = [register];
  registerTransportMetrics(register, engine);
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  gauge('causeway_calls', 'Calls in set-up or up.', () => calls.size);
  gauge('causeway_registrations', 'Addresses of record with at least one binding.', () => bindings.aors);
  gauge('causeway_bindings', 'Bindings.', () => bindings.size);
  gauge('causeway_sip_transactions', 'SIP transactions, lingering ones included.', () => engine.stats().transactions);
  gauge('causeway_sip_dialogs', 'SIP dialogs.', () => engine.stats().dialogs);
  gauge('causeway_sip_timers', 'Timers of the SIP engine.', () => engine.stats().timers);
  gauge('causeway_ng_pending', 'Requests to media nodes without a reply yet.', () => media.stats.pending);
  gauge('causeway_media_nodes_lost', 'Media nodes that do not answer.', () => media.stats.lost);
  new Gauge({
    name: 'causeway_sip_flows',
    help: 'Ways to peers: connections, and UDP peers heard of lately.',
    labelNames: ['protocol'],
    registers,
    collect() {
      for (const [protocol, count] of Object.entries(engine.stats().transport.flows)) this.set({ protocol }, count);
    },
  });
  const counter = (name: string, help: string, labelNames: string[], read: () => [Record<string, string>, number][]) =>
    new Counter({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        for (const [labels, value] of read()) this.inc(labels, value);
      },
    });
  counter('causeway_sip_messages_total', 'SIP messages.', ['direction'], () => {
    const { received, sent } = engine.stats().transport;
    return [
      [{ direction: 'in' }, received],
      [{ direction: 'out' }, sent],
    ];
  });
  counter('causeway_sip_malformed_total', 'Bytes that were no SIP message.', [], () => [
    [{}, engine.stats().transport.malformed],
  ]);
  counter('causeway_challenges_total', 'Requests answered with a challenge.', [], () => [
    [{}, engine.stats().challenged],
  ]);
  counter('causeway_sip_refused_total', 'Requests refused because the node is full or draining.', [], () => [
    [{}, engine.stats().refused],
  ]);
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
    setup: new Histogram({
      name: 'causeway_call_setup_seconds',
      help: 'From INVITE to 200 of calls that were answered.',
      buckets: [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30],
      registers,
    }),
  };
}
