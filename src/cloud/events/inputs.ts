/** What a target gets: the event, a part of it, a constant, or a template filled from it. */
import type { Target } from './tables.ts';

export interface DeliveredEvent {
  version: '0';
  id: string;
  'detail-type': string;
  source: string;
  account: string;
  time: string;
  region: string;
  resources: string[];
  detail: unknown;
}

export class InputError extends Error {
  override readonly name = 'InputError';
}

/** The text sent to the target. */
export function targetInput(target: Target, event: DeliveredEvent, rule: { name: string; arn: string }, ingestedAt: Date): string {
  if (target.Input !== undefined) return target.Input;
  if (target.InputPath !== undefined) return JSON.stringify(valueAt(event, target.InputPath) ?? null);
  if (target.InputTransformer) return transform(target.InputTransformer, event, rule, ingestedAt);
  return JSON.stringify(event);
}

/** `$.detail.list[0].name`; dots, names in brackets and indexes, as EventBridge allows. Undefined where the event has nothing there. */
export function valueAt(event: unknown, path: string): unknown {
  let value: any = event;
  for (const step of parsePath(path)) {
    if (value === null || value === undefined) return undefined;
    value = Object.hasOwn(Object(value), step) ? value[step] : undefined;
  }
  return value;
}

export function parsePath(path: string): (string | number)[] {
  if (!path.startsWith('$')) throw new InputError(`Invalid JSON path "${path}": it must start with $.`);
  const steps: (string | number)[] = [];
  const step = /\.([^.[\]]+)|\[(\d+)\]|\['([^']+)'\]|\["([^"]+)"\]/y;
  step.lastIndex = 1;
  while (step.lastIndex < path.length) {
    const at = step.lastIndex;
    const found = step.exec(path);
    if (!found) throw new InputError(`Invalid JSON path "${path}" at character ${at + 1}.`);
    steps.push(found[2] === undefined ? (found[1] ?? found[3] ?? found[4])! : Number(found[2]));
  }
  return steps;
}

const PLACEHOLDER = /<([A-Za-z0-9_.-]+)>/g;

/**
 * Fills `<name>` placeholders. Inside a quoted string a text is put in as it stands; elsewhere it is put in as JSON, so that a template can be
 * an object with values of any type.
 */
function transform(
  transformer: NonNullable<Target['InputTransformer']>,
  event: DeliveredEvent,
  rule: { name: string; arn: string },
  ingestedAt: Date,
): string {
  const variables = new Map<string, unknown>([
    ['aws.events.rule-arn', rule.arn],
    ['aws.events.rule-name', rule.name],
    ['aws.events.event.ingestion-time', ingestedAt.toISOString()],
    ['aws.events.event', { ...event, detail: undefined }],
    ['aws.events.event.json', event],
  ]);
  for (const [name, path] of Object.entries(transformer.InputPathsMap ?? {})) variables.set(name, valueAt(event, path));
  const template = transformer.InputTemplate;
  const quoted = quotedRanges(template);
  const filled = template.replace(PLACEHOLDER, (whole, name: string, at: number) => {
    if (!variables.has(name)) return whole;
    const value = variables.get(name);
    const insideQuotes = quoted.some(([from, to]) => at > from && at < to);
    if (value === undefined) return insideQuotes ? '' : '""';
    if (!insideQuotes) return JSON.stringify(value);
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    return JSON.stringify(text).slice(1, -1);
  });
  return filled;
}

function quotedRanges(template: string): [from: number, to: number][] {
  const ranges: [number, number][] = [];
  let from: number | undefined;
  for (let at = 0; at < template.length; at++) {
    if (template[at] === '\\') at++;
    else if (template[at] === '"') {
      if (from === undefined) from = at;
      else {
        ranges.push([from, at]);
        from = undefined;
      }
    }
  }
  return ranges;
}
