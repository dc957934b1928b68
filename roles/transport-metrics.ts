import { Counter, type Registry } from 'prom-client';
import type { Engine } from '../signaling/engine/mod.ts';
import { gaugesOf } from './gauges.ts';

/** The metrics of an engine's transports and of finding targets; they are read when somebody asks. */
export function registerTransportMetrics(register: Registry, engine: Engine): void {
  const registers = [register];
  const gauge = gaugesOf(register);
  const counter = (name: string, help: string, read: () => number | Readonly<Record<string, number>>) =>
    new Counter({
      name,
      help,
      registers,
      labelNames: typeof read() === 'number' ? [] : ['why'],
      collect() {
        this.reset();
        const value = read();
        if (typeof value === 'number') this.inc(value);
        else for (const [why, count] of Object.entries(value)) this.inc({ why }, count);
      },
    });
  const transport = () => engine.stats().transport;
  const targets = () => engine.stats().targets;
  gauge('causeway_sip_connections', 'Connections that peers have opened.', () => transport().connections);
  gauge('causeway_sip_sources', 'Addresses that hold at least one of them.', () => transport().addresses);
  gauge('causeway_sip_handshakes', 'TLS handshakes under way.', () => transport().handshaking);
  gauge('causeway_dns_records', 'Answers of DNS that are kept, old ones included.', () => targets().records);
  gauge('causeway_sip_targets_down', 'Targets that are tried after others.', () => targets().down);
  counter('causeway_sip_connections_refused_total', 'Connections that were not taken.', () => transport().refused);
  counter('causeway_sip_connections_closed_total', 'Connections that were given up.', () => transport().gaveUp);
  counter(
    'causeway_sip_udp_peers_forgotten_total',
    'UDP peers for whom there was no room.',
    () => transport().udpForgotten,
  );
  counter('causeway_dns_questions_total', 'Questions to DNS.', () => targets().asked);
  counter('causeway_dns_failures_total', 'Questions that no DNS server has answered.', () => targets().failed);
}
