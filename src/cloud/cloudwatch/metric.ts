/** What a metric is: a namespace, a name and dimensions, within an account and region. */
import { createHash } from 'node:crypto';
import { invalidValue } from './errors.ts';
import type { Dimension } from './tables.ts';

export interface Place {
  account: string;
  region: string;
}

export interface Metric {
  namespace: string;
  name: string;
  /** By name. */
  dimensions: Dimension[];
}

const MAX_DIMENSIONS = 30;
/** Printable ASCII, as the API reference says of namespaces and dimensions; metric names are held to the same. */
const PRINTABLE = /^[\x20-\x7e]+$/;

/** The key of its rows. */
export function metricId({ account, region }: Place, { namespace, name, dimensions }: Metric): string {
  const named = JSON.stringify([account, region, namespace, name, dimensions.map(({ Name, Value }) => [Name, Value])]);
  const hex = createHash('sha256').update(named).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`;
}

/** The metric of a request. `path` is where its dimensions are, for the message. */
export function metricOf(namespace: string, name: string, dimensions: Dimension[] = [], path = 'Dimensions'): Metric {
  if (dimensions.length > MAX_DIMENSIONS) {
    throw invalidValue(`The collection ${path} must not have a size greater than ${MAX_DIMENSIONS}.`);
  }
  checkText('Namespace', namespace);
  checkText('MetricName', name);
  for (const [index, { Name, Value }] of dimensions.entries()) {
    checkText(`${path}.member.${index + 1}.Name`, Name);
    checkText(`${path}.member.${index + 1}.Value`, Value);
    if (Name.startsWith(':')) throw invalidValue(`The value ${Name} for parameter ${path}.member.${index + 1}.Name is invalid.`);
    if (Value.trim() === '') throw invalidValue(`The parameter ${path}.member.${index + 1}.Value must not be blank.`);
  }
  const sorted = dimensions.map(({ Name, Value }) => ({ Name, Value })).sort((a, b) => (a.Name < b.Name ? -1 : 1));
  const twice = sorted.find(({ Name }, index) => Name === sorted[index + 1]?.Name);
  if (twice) throw invalidValue(`The dimension ${twice.Name} is in ${path} more than once.`);
  return { namespace, name, dimensions: sorted };
}

function checkText(path: string, text: string): void {
  if (!PRINTABLE.test(text)) throw invalidValue(`The value of parameter ${path} contains characters that are not printable ASCII.`);
}
