/** What a peer may send before it is refused: far above what real messages need. */
export const LIMITS = {
  /** 413 when the body makes it too long, 513 otherwise. */
  messageBytes: 65_535,
  /** Start line and headers: 513. */
  headerBytes: 32_768,
  /** One header with its folded lines: 513. */
  lineBytes: 16_384,
  /** Header lines: 513. */
  headers: 256,
  /** 414. */
  uriBytes: 8_192,
} as const;
