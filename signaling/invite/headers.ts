import type { Req } from '../srf.ts';

/** End-to-end headers of INFO and MESSAGE that the other party must see. */
const PASSED = ['Content-Type', 'Info-Package', 'Recv-Info', 'Content-Disposition', 'Content-Language'];

export function passOnHeaders(req: Req): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of PASSED) {
    const value = req.get(name);
    if (value !== undefined) headers[name] = value;
  }
  return headers;
}
