import { Gauge, type Registry } from 'prom-client';

/** Makes gauges that are read when somebody asks. */
export function gaugesOf(register: Registry, prefix = ''): (name: string, help: string, read: () => number) => Gauge {
  return (name, help, read) =>
    new Gauge({
      name: prefix + name,
      help,
      registers: [register],
      collect() {
        this.set(read());
      },
    });
}
