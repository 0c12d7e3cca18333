/** A log event as a row: what Logs knows of it, and the fields of a message that is JSON. */
import type { Position } from '../position.ts';
import type { Row, Value } from './values.ts';

export interface EventSource {
  group: { id: string; account: string; name: string };
  stream: string;
  message: string;
  ingestedAt: number;
  position: Position;
}

/** AWS discovers so many fields in a message. */
const MAX_FIELDS = 200;
const MAX_DEPTH = 20;

export class EventRow implements Row {
  readonly source: EventSource;
  #json: unknown;
  #parsed = false;

  constructor(source: EventSource) {
    this.source = source;
  }

  get(name: string): Value {
    const { source } = this;
    switch (name) {
      case '@timestamp':
        return new Date(source.position.at);
      case '@message':
        return source.message;
      case '@ingestionTime':
        return new Date(source.ingestedAt);
      case '@logStream':
        return source.stream;
      case '@log':
        return `${source.group.account}:${source.group.name}`;
      default:
        return asValue(at(this.#object(), name));
    }
  }

  /** The names and values of all fields in the message. */
  discovered(): Map<string, Value> {
    const found = new Map<string, Value>();
    flatten(this.#object(), '', found);
    return found;
  }

  #object(): unknown {
    if (!this.#parsed) {
      this.#parsed = true;
      const { message } = this.source;
      if (/^\s*\{/.test(message)) {
        try {
          this.#json = JSON.parse(message);
        } catch {
          // Not JSON: then it has no fields.
        }
      }
    }
    return this.#json;
  }
}

/** `a.b.0`: keys may hold dots themselves. */
function at(value: unknown, path: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  if (Object.hasOwn(value, path)) return (value as Record<string, unknown>)[path];
  for (let dot = path.indexOf('.'); dot > 0; dot = path.indexOf('.', dot + 1)) {
    const key = path.slice(0, dot);
    if (!Object.hasOwn(value, key)) continue;
    const found = at((value as Record<string, unknown>)[key], path.slice(dot + 1));
    if (found !== undefined) return found;
  }
  return undefined;
}

function asValue(value: unknown): Value {
  if (value === null || value === undefined) return undefined;
  if (typeof value === 'object') return asJson(value);
  // Shown as 1 and 0 by AWS.
  return typeof value === 'boolean' ? Number(value) : (value as string | number);
}

/** Undefined for what is nested too deeply to be written. */
function asJson(value: object): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}

function flatten(value: unknown, prefix: string, found: Map<string, Value>, depth = 0): void {
  if (found.size >= MAX_FIELDS || depth > MAX_DEPTH) return;
  if (typeof value !== 'object' || value === null) {
    if (prefix !== '' && value !== null && value !== undefined) found.set(prefix, asValue(value));
    return;
  }
  for (const [key, item] of Object.entries(value)) flatten(item, prefix === '' ? key : `${prefix}.${key}`, found, depth + 1);
}
