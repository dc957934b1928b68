/** A copy: what is cut out of a message would keep all of it in memory for as long as it is kept itself. */
export function own(text: string): string {
  return Buffer.from(text).toString();
}
