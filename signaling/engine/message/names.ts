/** Compact forms (RFC 3261 §7.3.3 and the extensions that define one), to the lower-case long name. */
const COMPACT: ReadonlyMap<string, string> = new Map(
  Object.entries({
    a: 'accept-contact',
    b: 'referred-by',
    c: 'content-type',
    d: 'request-disposition',
    e: 'content-encoding',
    f: 'from',
    i: 'call-id',
    j: 'reject-contact',
    k: 'supported',
    l: 'content-length',
    m: 'contact',
    n: 'identity-info',
    o: 'event',
    r: 'refer-to',
    s: 'subject',
    t: 'to',
    u: 'allow-events',
    v: 'via',
    x: 'session-expires',
    y: 'identity',
  }),
);

/** Names that messages are full of, as nearly everybody spells them. */
const COMMON = [
  'Via', 'From', 'To', 'Call-ID', 'CSeq', 'Contact', 'Content-Length', 'Content-Type', 'Max-Forwards', 'Route',
  'Record-Route', 'Expires', 'Authorization', 'Proxy-Authorization', 'WWW-Authenticate', 'Proxy-Authenticate', 'Allow',
  'Supported', 'Require', 'Proxy-Require', 'Unsupported', 'User-Agent', 'Server', 'Date', 'Accept', 'Event',
  'Allow-Events', 'Subscription-State', 'Refer-To', 'Referred-By', 'Replaces', 'Reason', 'RSeq', 'RAck',
  'Session-Expires', 'Min-SE', 'Path', 'Service-Route', 'P-Asserted-Identity', 'P-Preferred-Identity', 'Privacy',
  'Retry-After', 'Call-Id', 'v', 'f', 't', 'i', 'm', 'l', 'c', 'k',
] as const; // prettier-ignore

/** A header name as it stands on the wire, and the key by which headers are compared. */
export interface KnownName {
  readonly name: string;
  readonly key: string;
  /** A bit of its own for a header that may stand once (RFC 3261 §7.3.1), 0 for all others. */
  readonly single: number;
}

const SINGLE = ['From', 'To', 'Call-ID', 'CSeq', 'Max-Forwards', 'Content-Length', 'Content-Type'];
const singles = new Map(SINGLE.map((name, index) => [name.toLowerCase(), 1 << index]));

/** The bit of {@link KnownName.single}, by key. */
export function singleBit(key: string): number {
  return singles.get(key) ?? 0;
}

/** How a single header is called in a reason phrase. */
export function singleName(bit: number): string {
  return SINGLE[31 - Math.clz32(bit)] as string;
}

/** {@link COMMON} by length and first letter: a name in a text is found without making a string of it. */
const known: KnownName[][] = [];
for (const name of COMMON) {
  const lower = name.toLowerCase();
  const key = COMPACT.get(lower) ?? lower;
  (known[slot(name.length, name.charCodeAt(0))] ??= []).push({ name, key, single: singleBit(key) });
}

function slot(length: number, first: number): number {
  return (length << 5) | (first & 31);
}

/** The common name that stands at `at` and is so long; `undefined` when it is none, or is spelled otherwise. */
export function knownName(text: string, at: number, length: number): KnownName | undefined {
  const candidates = known[slot(length, text.charCodeAt(at))];
  if (candidates === undefined) return undefined;
  for (const candidate of candidates) if (text.startsWith(candidate.name, at)) return candidate;
  return undefined;
}

const cache = new Map<string, string>();
/** Peers can invent names without end; past this the cache is left as it is. */
const CACHE_LIMIT = 500;

/** The lower-case long form of a header name: the key by which headers are compared. */
export function canonicalName(name: string): string {
  const cached = cache.get(name);
  if (cached !== undefined) return cached;
  const lower = name.toLowerCase();
  const canonical = COMPACT.get(lower) ?? lower;
  if (cache.size < CACHE_LIMIT && name.length <= 64) cache.set(name, canonical);
  return canonical;
}

/** The key of a header, which parsers have noted already. */
export function keyOf(header: { readonly name: string; readonly key?: string }): string {
  return header.key ?? canonicalName(header.name);
}

/** Default reason phrases (RFC 3261 §21 and the extensions that this engine speaks). */
const REASONS: Readonly<Record<number, string>> = {
  100: 'Trying',
  180: 'Ringing',
  181: 'Call Is Being Forwarded',
  182: 'Queued',
  183: 'Session Progress',
  199: 'Early Dialog Terminated',
  200: 'OK',
  202: 'Accepted',
  204: 'No Notification',
  300: 'Multiple Choices',
  301: 'Moved Permanently',
  302: 'Moved Temporarily',
  305: 'Use Proxy',
  380: 'Alternative Service',
  400: 'Bad Request',
  401: 'Unauthorized',
  402: 'Payment Required',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  407: 'Proxy Authentication Required',
  408: 'Request Timeout',
  410: 'Gone',
  412: 'Conditional Request Failed',
  413: 'Request Entity Too Large',
  414: 'Request-URI Too Long',
  415: 'Unsupported Media Type',
  416: 'Unsupported URI Scheme',
  420: 'Bad Extension',
  421: 'Extension Required',
  422: 'Session Interval Too Small',
  423: 'Interval Too Brief',
  428: 'Use Identity Header',
  429: 'Provide Referrer Identity',
  430: 'Flow Failed',
  433: 'Anonymity Disallowed',
  436: 'Bad Identity-Info',
  437: 'Unsupported Certificate',
  438: 'Invalid Identity Header',
  439: 'First Hop Lacks Outbound Support',
  440: 'Max-Breadth Exceeded',
  469: 'Bad Info Package',
  470: 'Consent Needed',
  480: 'Temporarily Unavailable',
  481: 'Call/Transaction Does Not Exist',
  482: 'Loop Detected',
  483: 'Too Many Hops',
  484: 'Address Incomplete',
  485: 'Ambiguous',
  486: 'Busy Here',
  487: 'Request Terminated',
  488: 'Not Acceptable Here',
  489: 'Bad Event',
  491: 'Request Pending',
  493: 'Undecipherable',
  494: 'Security Agreement Required',
  500: 'Server Internal Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Server Time-out',
  505: 'Version Not Supported',
  513: 'Message Too Large',
  555: 'Push Notification Service Not Supported',
  580: 'Precondition Failure',
  600: 'Busy Everywhere',
  603: 'Decline',
  604: 'Does Not Exist Anywhere',
  606: 'Not Acceptable',
  607: 'Unwanted',
};

export function defaultReason(status: number): string {
  return (
    REASONS[status] ??
    (status < 200
      ? 'Progress'
      : status < 300
        ? 'OK'
        : status < 400
          ? 'Redirect'
          : status < 500
            ? 'Client Error'
            : 'Failure')
  );
}
