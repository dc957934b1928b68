import { readFileSync } from 'node:fs';

/** What an engine whose application answers everything with 200 does with a message. */
export interface Torture {
  readonly rfc: '4475' | '5118';
  readonly section: string;
  readonly name: string;
  readonly bytes: Buffer;
  /** What is sent over a connection. */
  readonly stream: Buffer;
  /** The final answer to a request; `drop` for a response that nobody waits for, `wait` for a stream that cannot go on. */
  readonly udp: number | 'drop';
  readonly tcp: number | 'drop' | 'wait';
  /** The stream cannot be trusted afterwards. */
  readonly closes: boolean;
  /** The answer's reason phrase, where the RFC wants the fault named. */
  readonly reason: string | undefined;
  /** Not a message at all for the parser. */
  readonly malformed: boolean;
}

interface Row {
  readonly udp: number | 'drop';
  readonly tcp?: number | 'drop' | 'wait';
  readonly closes?: true;
  readonly reason?: string;
  /** The parser reads it; the engine or the application refuses it. */
  readonly read?: true;
}

const FINE: Row = { udp: 200 };
const bad = (reason: string, more: Partial<Row> = {}): Row => ({ udp: 400, reason, ...more });

/** RFC 4475 §3, in its order. Where the RFC leaves a choice the comment says which one was taken. */
const RFC4475: Record<string, readonly [section: string, row: Row]> = {
  // Its To has a tag, of a dialog that is not there.
  wsinv: ['3.1.1.1', { udp: 481, read: true }],
  intmeth: ['3.1.1.2', { udp: 501, reason: 'Not Implemented', read: true }],
  esc01: ['3.1.1.3', FINE],
  escnull: ['3.1.1.4', FINE],
  // RE%47IST%45R is not REGISTER.
  esc02: ['3.1.1.5', { udp: 501, reason: 'Not Implemented', read: true }],
  lwsdisp: ['3.1.1.6', FINE],
  longreq: ['3.1.1.7', FINE],
  // In a datagram what follows the REGISTER is thrown away; on a stream it is another request.
  dblreq: ['3.1.1.8', FINE],
  semiuri: ['3.1.1.9', FINE],
  transports: ['3.1.1.10', FINE],
  mpart01: ['3.1.1.11', FINE],
  unreason: ['3.1.1.12', { udp: 'drop', read: true }],
  noreason: ['3.1.1.13', { udp: 'drop', read: true }],
  badinv01: ['3.1.2.1', bad('Malformed Via Header')],
  // On a stream the rest may still come.
  clerr: ['3.1.2.2', bad('Body Shorter Than Content-Length', { tcp: 'wait' })],
  ncl: ['3.1.2.3', bad('Malformed Content-Length Header', { closes: true })],
  scalar02: ['3.1.2.4', bad('Malformed CSeq Header')],
  scalarlg: ['3.1.2.5', { udp: 'drop' }],
  quotbal: ['3.1.2.6', bad('Malformed To Header')],
  ltgtruri: ['3.1.2.7', bad('Malformed Request-URI')],
  lwsruri: ['3.1.2.8', bad('Malformed Request-URI')],
  lwsstart: ['3.1.2.9', bad('Malformed Request-URI')],
  trws: ['3.1.2.10', bad('Space At End Of Request Line')],
  escruri: ['3.1.2.11', bad('Headers In Request-URI')],
  // Liberal: nobody here reads Date.
  baddate: ['3.1.2.12', FINE],
  regbadct: ['3.1.2.13', bad('Malformed Contact', { read: true })],
  badaspec: ['3.1.2.14', bad('Malformed To Header')],
  // The archive's bytes lack the last empty line: the test adds it on a stream.
  baddn: ['3.1.2.15', bad('Malformed From Header')],
  badvers: ['3.1.2.16', { udp: 505, reason: 'Version Not Supported' }],
  mismatch01: ['3.1.2.17', bad('CSeq Method Mismatch')],
  mismatch02: ['3.1.2.18', { udp: 501, reason: 'Method Not Implemented' }],
  bigcode: ['3.1.2.19', { udp: 'drop' }],
  // Matched by the rules of RFC 2543.
  badbranch: ['3.2.1', FINE],
  insuf: ['3.3.1', bad('Missing From Header')],
  unkscm: ['3.3.2', { udp: 416, reason: 'Unsupported URI Scheme', read: true }],
  novelsc: ['3.3.3', { udp: 416, reason: 'Unsupported URI Scheme', read: true }],
  unksm2: ['3.3.4', bad('To Is Not A SIP URI', { read: true })],
  bext01: ['3.3.5', { udp: 420, reason: 'Bad Extension', read: true }],
  // The application's answer.
  invut: ['3.3.6', { udp: 415, read: true }],
  // The guard's answer: an unknown scheme is as good as none.
  regaut01: ['3.3.7', { udp: 401, read: true }],
  multi01: ['3.3.8', bad('Repeated CSeq Header')],
  mcl01: ['3.3.9', bad('Repeated Content-Length Header', { closes: true })],
  bcast: ['3.3.10', { udp: 'drop', read: true }],
  zeromf: ['3.3.11', { udp: 483, reason: 'Too Many Hops', read: true }],
  cparam01: ['3.3.12', FINE],
  cparam02: ['3.3.13', FINE],
  regescrt: ['3.3.14', FINE],
  // The application's answer: it can only describe a session in SDP.
  sdp01: ['3.3.15', { udp: 406, read: true }],
  // Without a Content-Length it ends with its datagram, and nowhere on a stream.
  inv2543: ['3.4.1', { udp: 200, tcp: 400, closes: true }],
};

/** RFC 5118 §4. */
const RFC5118: Record<string, readonly [section: string, row: Row]> = {
  'ipv6-good': ['4.1', FINE],
  'ipv6-bad': ['4.2', bad('Malformed Request-URI')],
  'port-ambiguous': ['4.3', FINE],
  'port-unambiguous': ['4.4', FINE],
  // A BYE of a dialog that is not there.
  'via-received-param-with-delim': ['4.5', { udp: 481, read: true }],
  'via-received-param-no-delim': ['4.5', FINE],
  'ipv6-in-sdp': ['4.6', FINE],
  'mult-ip-in-header': ['4.7', { udp: 481, read: true }],
  'mult-ip-in-sdp': ['4.8', FINE],
  'ipv4-mapped-ipv6': ['4.9', FINE],
  // Liberal: the grammar of RFC 3261 made it so.
  'ipv6-bug-abnf-3-colons': ['4.10', FINE],
  'ipv6-correct-abnf-2-colons': ['4.10', FINE],
};

export const TORTURE: readonly Torture[] = [...rowsOf('4475', RFC4475), ...rowsOf('5118', RFC5118)];

function rowsOf(rfc: '4475' | '5118', table: typeof RFC4475): Torture[] {
  return Object.entries(table).map(([name, [section, row]]) => ({
    rfc,
    section,
    name,
    bytes: bytesOf(rfc, name),
    udp: row.udp,
    stream: onStream(name, bytesOf(rfc, name)),
    tcp: row.tcp ?? row.udp,
    closes: row.closes ?? false,
    reason: row.reason,
    malformed: row.udp !== 200 && row.read === undefined,
  }));
}

function bytesOf(rfc: string, name: string): Buffer {
  return readFileSync(new URL(`rfc${rfc}/${name}.dat`, import.meta.url));
}

function onStream(name: string, bytes: Buffer): Buffer {
  if (name === 'baddn') return Buffer.concat([bytes, Buffer.from('\r\n')]);
  // The second message's Content-Length leaves a letter over, with which no third can begin.
  return name === 'dblreq' ? bytes.subarray(0, bytes.lastIndexOf('C\r\n')) : bytes;
}
