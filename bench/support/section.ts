/** One table of bench/RESULTS.md, as every bench gives it. */

export interface Section {
  title: string;
  columns: string[];
  rows: string[][];
  /** How it was measured, and what limits the figures: one line each. */
  notes: string[];
}

export function toMarkdown({ title, columns, rows, notes }: Section): string {
  const line = (cells: string[]): string => `| ${cells.join(' | ')} |`;
  const table = [line(columns), line(columns.map(() => '---')), ...rows.map(line)];
  return [`## ${title}`, '', ...table, '', ...notes.map((note) => `- ${note}`), ''].join('\n');
}

export function verdict(kept: boolean | undefined): string {
  return kept === undefined ? '' : kept ? 'met' : '**not met**';
}

export function ms(value: number, digits = 1): string {
  return `${value.toFixed(digits)} ms`;
}

/** The value that this share of all is at most; `values` need not be sorted. */
export function percentile(values: ArrayLike<number>, share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function median(values: ArrayLike<number>): number {
  return percentile(values, 0.5);
}
