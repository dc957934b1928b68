export interface RtpFields {
  readonly pt?: number;
  readonly sequence?: number;
  readonly timestamp?: number;
  readonly ssrc?: number;
  readonly payload?: Uint8Array;
}

/** An RTP packet (RFC 3550 §5.1) without CSRCs; 160 octets of PCMU silence when nothing else is asked for. */
export function rtp(fields: RtpFields = {}): Buffer {
  const sequence = fields.sequence ?? 0;
  const header = Buffer.alloc(12);
  header[0] = 0x80;
  header[1] = fields.pt ?? 0;
  header.writeUInt16BE(sequence, 2);
  header.writeUInt32BE(fields.timestamp ?? sequence * 160, 4);
  header.writeUInt32BE(fields.ssrc ?? 7, 8);
  return Buffer.concat([header, fields.payload ?? Buffer.alloc(160, 0xff)]);
}
