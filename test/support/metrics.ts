/** One scrape of a /metrics page: `name` or `name{label="value"}` → value. */
export type Scrape = ReadonlyMap<string, number>;

export async function scrape(address: string): Promise<Scrape> {
  const url = address.startsWith('http') ? address : `http://${address}/metrics`;
  const response = await fetch(url, { signal: AbortSignal.timeout(2000) });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  const samples = new Map<string, number>();
  for (const line of (await response.text()).split('\n')) {
    const match = /^([a-zA-Z_:][\w:]*(?:\{.*\})?) (\S+)$/.exec(line);
    if (match) samples.set(match[1] as string, Number(match[2]));
  }
  return samples;
}

/** The sum of a metric over all its label sets; throws when the page does not have it, so that a renamed metric fails a test. */
export function total(samples: Scrape, name: string): number {
  let sum = 0;
  let found = false;
  for (const [key, value] of samples) {
    if (key === name || key.startsWith(`${name}{`)) {
      sum += value;
      found = true;
    }
  }
  if (!found) throw new Error(`no metric ${name}`);
  return sum;
}

/** A metric summed over the metrics pages of a PoP's nodes of one kind. */
export async function totalOver(addresses: readonly string[], name: string): Promise<number> {
  let sum = 0;
  for (const address of addresses) sum += total(await scrape(address), name);
  return sum;
}
