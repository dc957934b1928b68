/**
 * The four transaction machines of RFC 3261 §17 with the corrections of RFC 6026, as tables:
 * state → input → what to do, and the next state. Timer values are in {@link TIMERS}.
 */
export type State = 'calling' | 'trying' | 'proceeding' | 'completed' | 'accepted' | 'confirmed' | 'terminated';

export type Input =
  /** Responses: received by a client, sent by the server's user. */
  | '1xx'
  | '2xx'
  | '3xx-6xx'
  /** Requests that a server receives again, or the ACK of its INVITE. */
  | 'request'
  | 'ack'
  /** The retransmission timer (A, E, G), the time-out (B, F, H), the wait for stragglers (D, I, J, K, L, M). */
  | 'retransmit'
  | 'timeout'
  | 'linger'
  | 'transport-error';

export type Action =
  /** Client: the message goes up. Server: it goes out, and is kept. */
  | 'pass'
  /** The last message goes out again. */
  | 'repeat'
  /** ACK to a non-2xx final response (§17.1.1.3). */
  | 'send-ack'
  /** Sets the retransmission timer anew, doubled (capped where the row says so). */
  | 'again'
  | 'again-capped'
  | 'start-retransmit'
  | 'stop-retransmit'
  | 'start-timeout'
  | 'stop-timeout'
  | 'start-linger'
  | 'report-timeout'
  | 'report-transport-error';

export interface Row {
  readonly next: State;
  readonly actions: readonly Action[];
}

export type Table = Partial<Record<State, Partial<Record<Input, Row>>>>;

const row = (next: State, ...actions: Action[]): Row => ({ next, actions });

/** Milliseconds (RFC 3261 table 4). */
export const TIMERS = { T1: 500, T2: 4000, T4: 5000, D: 32_000, C: 180_000 } as const;

/** §17.1.1.2 figure 5; Accepted and timer M: RFC 6026 §7.2. */
export const INVITE_CLIENT: Table = {
  calling: {
    '1xx': row('proceeding', 'stop-retransmit', 'stop-timeout', 'pass'),
    '2xx': row('accepted', 'stop-retransmit', 'stop-timeout', 'pass', 'start-linger'),
    '3xx-6xx': row('completed', 'stop-retransmit', 'stop-timeout', 'send-ack', 'pass', 'start-linger'),
    retransmit: row('calling', 'repeat', 'again'),
    timeout: row('terminated', 'report-timeout'),
    'transport-error': row('terminated', 'report-transport-error'),
  },
  proceeding: {
    '1xx': row('proceeding', 'pass'),
    '2xx': row('accepted', 'pass', 'start-linger'),
    '3xx-6xx': row('completed', 'send-ack', 'pass', 'start-linger'),
  },
  completed: {
    '3xx-6xx': row('completed', 'send-ack'),
    linger: row('terminated'),
  },
  accepted: {
    '2xx': row('accepted', 'pass'),
    linger: row('terminated'),
  },
};

/** §17.1.2.2 figure 6. */
export const CLIENT: Table = {
  trying: {
    '1xx': row('proceeding', 'pass'),
    '2xx': row('completed', 'stop-retransmit', 'stop-timeout', 'pass', 'start-linger'),
    '3xx-6xx': row('completed', 'stop-retransmit', 'stop-timeout', 'pass', 'start-linger'),
    retransmit: row('trying', 'repeat', 'again-capped'),
    timeout: row('terminated', 'report-timeout'),
    'transport-error': row('terminated', 'report-transport-error'),
  },
  proceeding: {
    '1xx': row('proceeding', 'pass'),
    '2xx': row('completed', 'stop-retransmit', 'stop-timeout', 'pass', 'start-linger'),
    '3xx-6xx': row('completed', 'stop-retransmit', 'stop-timeout', 'pass', 'start-linger'),
    retransmit: row('proceeding', 'repeat', 'again-capped'),
    timeout: row('terminated', 'report-timeout'),
    'transport-error': row('terminated', 'report-transport-error'),
  },
  completed: { linger: row('terminated') },
};

/** §17.2.1 figure 7; Accepted and timer L: RFC 6026 §7.1. The user repeats the 2xx, not the transaction. */
export const INVITE_SERVER: Table = {
  proceeding: {
    request: row('proceeding', 'repeat'),
    '1xx': row('proceeding', 'pass'),
    '2xx': row('accepted', 'pass', 'start-linger'),
    '3xx-6xx': row('completed', 'pass', 'start-retransmit', 'start-timeout'),
  },
  completed: {
    request: row('completed', 'repeat'),
    retransmit: row('completed', 'repeat', 'again-capped'),
    ack: row('confirmed', 'stop-retransmit', 'stop-timeout', 'start-linger'),
    timeout: row('terminated', 'report-timeout'),
  },
  confirmed: { linger: row('terminated') },
  accepted: {
    request: row('accepted'),
    '2xx': row('accepted', 'pass'),
    linger: row('terminated'),
  },
};

/** §17.2.2 figure 8. */
export const SERVER: Table = {
  trying: {
    request: row('trying'),
    '1xx': row('proceeding', 'pass'),
    '2xx': row('completed', 'pass', 'start-linger'),
    '3xx-6xx': row('completed', 'pass', 'start-linger'),
  },
  proceeding: {
    request: row('proceeding', 'repeat'),
    '1xx': row('proceeding', 'pass'),
    '2xx': row('completed', 'pass', 'start-linger'),
    '3xx-6xx': row('completed', 'pass', 'start-linger'),
  },
  completed: {
    request: row('completed', 'repeat'),
    linger: row('terminated'),
  },
};
