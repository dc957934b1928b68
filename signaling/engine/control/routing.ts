import { bareHost, parseNameAddr, parseUri, type SipMessage } from '../message/mod.ts';
import { parsePlan, type ProxyPlan } from '../proxy/mod.ts';

/** Who is asked about requests that begin something: an application by its address, or a web service that names one. */
export interface RequestHandler {
  /** `INVITE`, or `*` for all that have none of their own. */
  readonly method: string;
  /** `tcp://host:port`, `tls://host:port`, `http://…` or `https://…`. */
  readonly url: string;
  readonly httpMethod?: 'GET' | 'POST' | undefined;
  /** Whether the certificate must be good; true when not said. */
  readonly verifyPeer?: boolean | undefined;
}

/** What is to become of a request (control protocol §11). */
export type Routing =
  | { readonly type: 'reject'; readonly status: number; readonly reason: string | undefined }
  | { readonly type: 'redirect'; readonly contacts: readonly string[] }
  | { readonly type: 'proxy'; readonly plan: ProxyPlan }
  | { readonly type: 'tag'; readonly tag: string }
  | { readonly type: 'connect'; readonly host: string; readonly port: number; readonly tls: boolean };

export function handlerFor(handlers: readonly RequestHandler[], method: string): RequestHandler | undefined {
  return (
    handlers.find((handler) => handler.method.toUpperCase() === method) ??
    handlers.find((handler) => handler.method === '*')
  );
}

/** The address in a `tcp:` or `tls:` URL. */
export function addressOf(url: string): Extract<Routing, { type: 'connect' }> | undefined {
  const match = /^(tcp|tls):\/\/(\[[0-9a-f:.]+\]|[^\s:/;]+):(\d{1,5})\/?$/i.exec(url);
  return match
    ? {
        type: 'connect',
        host: bareHost(match[2] as string),
        port: Number(match[3]),
        tls: match[1]?.toLowerCase() === 'tls',
      }
    : undefined;
}

/** What a web service is told of a request, as the query of its URL. */
export function questionOf(
  base: string,
  request: SipMessage,
  from: { readonly protocol: string; readonly address: string },
): string {
  const uri = parseUri(request.uri);
  const user = (header: string) => parseUri(parseNameAddr(request.get(header) ?? '')?.uri ?? '')?.user ?? '';
  const query = new URLSearchParams({
    method: request.method,
    domain: uri?.host ?? '',
    protocol: from.protocol,
    source_address: from.address,
    fromUser: user('from'),
    toUser: user('to'),
    uriUser: uri?.user ?? '',
    contentType: request.get('content-type') ?? '',
    uri: request.uri,
  });
  for (const [name, value] of uri?.params ?? []) query.append(name, value);
  const url = new URL(base);
  for (const [name, value] of query) url.searchParams.append(name, value);
  return url.href;
}

/** Reads what a web service has answered; undefined when it makes no sense: that is a 500. */
export function parseRouting(answer: unknown): Routing | undefined {
  if (typeof answer !== 'object' || answer === null) return undefined;
  const { action, data } = answer as { action?: unknown; data?: Record<string, unknown> };
  if (typeof data !== 'object' || data === null) return undefined;
  switch (action) {
    case 'reject': {
      const { status, reason } = data;
      if (typeof status !== 'number' || !Number.isInteger(status) || status < 300 || status > 699) return undefined;
      return { type: 'reject', status, reason: typeof reason === 'string' ? clean(reason) : undefined };
    }
    case 'redirect': {
      const contacts = texts(data['contact']);
      return contacts.length === 0 ? undefined : { type: 'redirect', contacts };
    }
    case 'proxy':
      return proxying(data);
    case 'route':
      return route(data);
    default:
      return undefined;
  }
}

function proxying(data: Readonly<Record<string, unknown>>): Routing | undefined {
  const word = (name: string, fallback: string) => (typeof data[name] === 'string' ? data[name] : fallback);
  const plan = parsePlan([
    data['recordRoute'] === true ? 'remainInDialog' : '',
    '',
    data['followRedirects'] === false ? '' : 'followRedirects',
    data['simultaneous'] === true ? 'simultaneous' : 'serial',
    word('provisionalTimeout', '5s'),
    word('finalTimeout', '60s'),
    ...texts(data['destination']).map((text) => (/^(sips?|tel):/i.test(text) ? text : `sip:${text}`)),
  ]);
  return typeof plan === 'string' ? undefined : { type: 'proxy', plan };
}

function route(data: Readonly<Record<string, unknown>>): Routing | undefined {
  const { uri, tag } = data;
  if (typeof tag === 'string' && tag !== '') return { type: 'tag', tag };
  if (typeof uri !== 'string') return undefined;
  const [hostPort = '', ...params] = uri.split(';');
  const tls = params.some((param) => /^transport=tls$/i.test(param.trim()));
  return addressOf(`${tls ? 'tls' : 'tcp'}://${hostPort}`);
}

/** One text or a list of them; bounded, and without line ends. */
function texts(value: unknown): string[] {
  const list: unknown[] = Array.isArray(value) ? value : [value];
  return list
    .filter((entry): entry is string => typeof entry === 'string' && entry !== '')
    .slice(0, 64)
    .map(clean);
}

function clean(text: string): string {
  return text.replace(/[\r\n\0]+/g, ' ').slice(0, 1000);
}
