import { Counter, Gauge, type Registry } from 'prom-client';
import type { Engine } from '../signaling/engine/mod.ts';
import { gaugesOf } from './gauges.ts';
import { registerTransportMetrics } from './transport-metrics.ts';

/** The metrics of a SIP engine; they are read when somebody asks. */
export function registerEngineMetrics(register: Registry, engine: Engine): void {
  const registers = [register];
  const gauge = gaugesOf(register);
  gauge('causeway_sip_transactions', 'SIP transactions, lingering ones included.', () => engine.stats().transactions);
  gauge('causeway_sip_dialogs', 'SIP dialogs.', () => engine.stats().dialogs);
  gauge('causeway_sip_timers', 'Timers of the SIP engine.', () => engine.stats().timers);
  gauge('causeway_sip_apps', 'Applications that are connected.', () => engine.stats().apps);
  gauge(
    'causeway_sip_proxying',
    'Requests that are being proxied, answered ones for a while.',
    () => engine.stats().proxying,
  );
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
  const by = (label: string, counts: Readonly<Record<string, number>>): [Record<string, string>, number][] =>
    Object.entries(counts).map(([key, value]) => [{ [label]: key }, value]);
  counter(
    'causeway_sip_malformed_total',
    'Bytes that were no SIP message, by what they seem to have been.',
    ['of'],
    () => by('of', engine.stats().transport.malformedOf),
  );
  counter('causeway_sip_oversized_total', 'Messages beyond a limit, by the limit.', ['limit'], () =>
    by('limit', engine.stats().transport.oversized),
  );
  counter('causeway_sip_stray_responses_total', 'Responses that no transaction waited for.', [], () => [
    [{}, engine.stats().strayResponses],
  ]);
  counter('causeway_challenges_total', 'Requests answered with a challenge.', [], () => [
    [{}, engine.stats().challenged],
  ]);
  counter('causeway_sip_refused_total', 'Requests refused because the node is full or draining.', [], () => [
    [{}, engine.stats().refused],
  ]);
  counter('causeway_sip_proxied_total', 'Requests that were proxied.', [], () => [[{}, engine.stats().proxied]]);
  registerTransportMetrics(register, engine);
}
