/** What every wire protocol does: a request to an input object, an output object or an error to a response. All driven by the model. */
import type { Readable } from 'node:stream';
import { AwsError } from '../../platform/errors.ts';
import type { ServiceModel } from '../../platform/model.ts';

export interface WireRequest {
  method: string;
  /** As sent: not decoded, no query. */
  path: string;
  query: URLSearchParams;
  /** Names in lower case. */
  headers: Record<string, string | undefined>;
  body: Buffer;
  /** Given instead of `body` where `takesStream` says that the operation reads its payload as it arrives. */
  stream?: Readable;
}

export interface WireResponse {
  status: number;
  headers: Record<string, string>;
  body: string | Buffer | Uint8Array | Readable | undefined;
}

export interface WireError {
  /** The wire's code, such as `NoSuchEntity`. */
  code: string;
  message: string;
  /** When undefined: the model's, else 500 for a fault, else 400. */
  status?: number | undefined;
  /** Members of the error's shape beyond the message. */
  fields?: Record<string, unknown>;
  requestId: string;
  /** What S3 names in its errors: the path. */
  resource?: string;
  /** A response to HEAD carries no body. */
  method?: string;
}

export interface Codec {
  /** To be awaited before the first use: loads what only this protocol needs. */
  prepare?(): Promise<void>;
  /** Throws AwsError with the service's own code for what cannot be read. Members that the model does not know are ignored. */
  decode(model: ServiceModel, operationName: string, request: WireRequest): Promise<Record<string, unknown>>;
  encode(model: ServiceModel, operationName: string, output: Record<string, unknown>, requestId: string): WireResponse;
  encodeError(model: ServiceModel, operationName: string | undefined, error: WireError): WireResponse;
}

/** Nesting that no input of any model needs; deeper ones are refused before they cost stack. */
export const MAX_DEPTH = 100;

/** What AWS answers to a body that it cannot read as the operation's input. */
export function serializationError(message: string): AwsError {
  return new AwsError('SerializationException', message, { status: 400 });
}

/** Keeps one value per model and name, made when first asked for: plans are compiled once and found by two lookups. */
export function perModel<T>(make: (model: ServiceModel, name: string) => T): (model: ServiceModel, name: string) => T {
  const made = new WeakMap<ServiceModel, Map<string, T>>();
  return (model, name) => {
    const plans = made.get(model) ?? new Map<string, T>();
    if (plans.size === 0) made.set(model, plans);
    const known = plans.get(name);
    if (known !== undefined) return known;
    const plan = make(model, name);
    plans.set(name, plan);
    return plan;
  };
}

/** Sets a key that came from outside, also one named `__proto__`, as a plain property. */
export function setOwn(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__') Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
  else target[key] = value;
}
