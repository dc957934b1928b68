/** Of the call-id's part; with what is put behind it a name stays below the 255 bytes of Linux's file systems. */
const MAX_LENGTH = 200;

/**
 * The name of a recording without its ending: the call-id, percent-encoded where it has anything but letters, digits,
 * dots, dashes and underscores, or begins with a dot or a dash; then 16 hex digits, so that no name comes twice.
 */
export function recordingName(callId: string, unique: string): string {
  const safe = callId.replace(/[^A-Za-z0-9._-]|^[.-]/gu, (character) =>
    [...Buffer.from(character)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  );
  // Not in the middle of a percent sign's two digits.
  return `${safe.slice(0, MAX_LENGTH).replace(/%[0-9A-F]?$/, '')}-${unique}`;
}
