// What the benchmarks make of many values, and how they print them.

export function spread(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median, min: sorted[0], max: sorted[sorted.length - 1] };
}

/** Three significant digits without an exponent. */
export function digits(value) {
  if (value === undefined || Number.isNaN(value)) return '-';
  if (value === 0 || Math.abs(value) >= 100) return String(Math.round(value));
  return String(Number(value.toPrecision(3)));
}

/** Lines of a table: the first row is the head; numbers to the right, words to the left. */
export function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)));
  const cell = (text, column) =>
    column === 0 || /^[a-zA-Z]/.test(rows[1]?.[column] ?? '')
      ? text.padEnd(widths[column])
      : text.padStart(widths[column]);
  return rows
    .map((row) =>
      row
        .map((text, column) => cell(String(text), column))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
