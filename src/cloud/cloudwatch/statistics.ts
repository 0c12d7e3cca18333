/** Statistics by their names: the plain ones, and those that need to know how the values are distributed (user guide, "Statistics definitions"). */

/** All values of one period. */
export interface Bucket {
  /** Seconds since 1970 of its beginning. */
  at: number;
  unit: string;
  count: number;
  sum: number;
  min: number;
  max: number;
  /** Value, weight, value, weight, … in the order of values; null where it is not known, or was not asked for. */
  distribution: number[] | null;
}

export interface Statistic {
  needsDistribution: boolean;
  /** Undefined when the values' distribution is not known. */
  of(bucket: Bucket): number | undefined;
}

const PLAIN: Record<string, (bucket: Bucket) => number> = {
  SampleCount: ({ count }) => count,
  Sum: ({ sum }) => sum,
  Average: ({ sum, count }) => sum / count,
  Minimum: ({ min }) => min,
  Maximum: ({ max }) => max,
};

const PERCENTILE = /^p(100|\d{1,2}(?:\.\d{1,10})?)$/;
/** `tm90`, `tm(10%:90%)`, `tm(0.5:2)`, `tm(:90%)`. */
const TRIMMED = /^(tm|wm|tc|ts)(?:(100|\d{1,2}(?:\.\d{1,10})?)|\((\d*\.?\d*%?):(\d*\.?\d*%?)\))$/i;
const RANK = /^pr\((\d*\.?\d*):(\d*\.?\d*)\)$/i;

/** Undefined for a name that is no statistic. */
export function statisticOf(name: string): Statistic | undefined {
  const plain = Object.hasOwn(PLAIN, name) ? PLAIN[name] : undefined;
  if (plain) return { needsDistribution: false, of: plain };
  const percentile = PERCENTILE.exec(name);
  if (percentile) return ofDistribution((pairs) => percentileOf(pairs, Number(percentile[1])));
  if (/^iqm$/i.test(name)) return ofDistribution((pairs) => mean(within(pairs, { text: '25%' }, { text: '75%' })));
  const trimmed = TRIMMED.exec(name);
  if (trimmed) return trimmedStatistic(trimmed);
  const rank = RANK.exec(name);
  if (rank && (rank[1] || rank[2])) {
    return ofDistribution((pairs) => (100 * weightOf(within(pairs, { text: rank[1]! }, { text: rank[2]! }))) / weightOf(pairs));
  }
  return undefined;
}

type Pair = [value: number, weight: number];

function ofDistribution(compute: (pairs: Pair[]) => number | undefined): Statistic {
  return {
    needsDistribution: true,
    of({ distribution, min, max }) {
      if (!distribution || distribution.length === 0) return undefined;
      const pairs: Pair[] = [];
      for (let index = 0; index < distribution.length; index += 2) {
        // The middle of a class may lie beyond all that is in it.
        pairs.push([Math.min(Math.max(distribution[index]!, min), max), distribution[index + 1]!]);
      }
      return compute(pairs.sort(([a], [b]) => a - b));
    },
  };
}

/** Between the two nearest values, in proportion. */
function percentileOf(pairs: Pair[], percent: number): number {
  const place = (percent / 100) * Math.max(weightOf(pairs) - 1, 0);
  const below = valueAt(pairs, Math.floor(place));
  const above = valueAt(pairs, Math.ceil(place));
  return below + (above - below) * (place - Math.floor(place));
}

/** The value at that place (from 0) when all are put in a row. */
function valueAt(pairs: Pair[], place: number): number {
  let passed = 0;
  for (const [value, weight] of pairs) {
    passed += weight;
    if (place < passed) return value;
  }
  return pairs.at(-1)![0];
}

interface Edge {
  /** `90%` of the values, or a value; empty where it is open. */
  text: string;
}

function trimmedStatistic([, kind, upTo, low, high]: RegExpExecArray): Statistic | undefined {
  const [from, to] = upTo === undefined ? [{ text: low! }, { text: high! }] : [{ text: '' }, { text: `${upTo}%` }];
  if (from.text === '' && to.text === '') return undefined;
  // Both edges are of one kind.
  if (from.text && to.text && from.text.endsWith('%') !== to.text.endsWith('%')) return undefined;
  const compute: Record<string, (pairs: Pair[]) => number | undefined> = {
    tm: (pairs) => mean(within(pairs, from, to)),
    tc: (pairs) => weightOf(within(pairs, from, to)),
    ts: (pairs) => sumOf(within(pairs, from, to)),
    wm: (pairs) => mean(winsorized(pairs, from, to)),
  };
  return ofDistribution(compute[kind!.toLowerCase()]!);
}

/** The part of the values between the edges; of values on an edge that is a percentage, their share. */
function within(pairs: Pair[], from: Edge, to: Edge): Pair[] {
  const byShare = from.text.endsWith('%') || to.text.endsWith('%');
  if (!byShare) {
    const low = from.text === '' ? Number.NEGATIVE_INFINITY : Number(from.text);
    const high = to.text === '' ? Number.POSITIVE_INFINITY : Number(to.text);
    return pairs.filter(([value]) => value > low && value <= high);
  }
  const total = weightOf(pairs);
  const low = from.text === '' ? 0 : (Number(from.text.slice(0, -1)) / 100) * total;
  const high = to.text === '' ? total : (Number(to.text.slice(0, -1)) / 100) * total;
  let passed = 0;
  return pairs.flatMap(([value, weight]): Pair[] => {
    const share = Math.min(passed + weight, high) - Math.max(passed, low);
    passed += weight;
    return share > 0 ? [[value, share]] : [];
  });
}

/** As if what is beyond the edges stood on them. */
function winsorized(pairs: Pair[], from: Edge, to: Edge): Pair[] {
  const kept = within(pairs, from, to);
  if (kept.length === 0) return kept;
  const low = kept[0]![0];
  const high = kept.at(-1)![0];
  return pairs.map(([value, weight]) => [Math.min(Math.max(value, low), high), weight]);
}

function weightOf(pairs: Pair[]): number {
  return pairs.reduce((sum, [, weight]) => sum + weight, 0);
}

function sumOf(pairs: Pair[]): number {
  return pairs.reduce((sum, [value, weight]) => sum + value * weight, 0);
}

function mean(pairs: Pair[]): number | undefined {
  return pairs.length === 0 ? undefined : sumOf(pairs) / weightOf(pairs);
}
