export const CR = 0x0d;
export const LF = 0x0a;

/** Where the empty line stands that ends the headers: CRLF CRLF, or LF LF from lenient peers. `length` 0: not there yet. */
export function findHeaderEnd(buffer: Buffer, from: number): { readonly at: number; readonly length: number } {
  const crlf = buffer.indexOf('\r\n\r\n', from, 'latin1');
  const lf = buffer.indexOf('\n\n', from, 'latin1');
  if (crlf >= 0 && (lf < 0 || crlf < lf)) return { at: crlf, length: 4 };
  if (lf >= 0) return { at: lf, length: 2 };
  return { at: -1, length: 0 };
}
