/** One request on its way through the steps; each step fills in what it found out. */
import type { Readable } from 'node:stream';
import type { Recorder } from '../cloud/cloudtrail/recorder.ts';
import type { Access } from '../cloud/iam/access.ts';
import type { Platform } from '../platform/platform.ts';
import type { Principal } from '../platform/principal.ts';
import type { Operation, RequestContext } from '../platform/service.ts';
import type { WireResponse } from './protocols/index.ts';
import type { Entry, Registry } from './registry.ts';
import type { ErrorFamily } from './signature-errors.ts';
import type { Payload } from './sigv4.ts';

/** What the steps need beside the request. */
export interface Gateway {
  platform: Platform;
  registry: Registry;
  access: Access;
  /** Absent when nothing is to be recorded. */
  recorder?: Recorder;
}

/** A request as it came over the wire. */
export interface IncomingCall {
  method: string;
  /** Percent-encoded, without the query. */
  path: string;
  /** What stood after `?`. */
  query: string;
  headers: Record<string, string | string[] | undefined>;
  stream: Readable;
  sourceIp: string;
  secure: boolean;
  /** Calls back if the connection closes; until the returned function is called. Absent for calls from inside. */
  onGone?: (listener: () => void) => () => void;
}

export interface Exchange {
  readonly gateway: Gateway;
  readonly call: IncomingCall;
  readonly requestId: string;
  readonly startedAt: number;

  /** By `identify`. */
  entry?: Entry;
  family: ErrorFamily;
  operationName?: string;
  operation?: Operation;
  /** By `readBody`; undefined for operations that read their payload as it arrives. */
  body?: Buffer;
  /** By `authenticate`. */
  principal?: Principal;
  region?: string;
  payload?: Payload;
  trailers: Map<string, string>;
  /** By `decode`. */
  input?: Record<string, unknown>;
  context?: RequestContext;
  /** By `handle`. */
  output?: Record<string, unknown>;
  /** By `encode`, or by the error's encoder. */
  response?: WireResponse;
  /** What was thrown on the way. */
  error?: Error;
}

export type Step = (exchange: Exchange) => void | undefined | Promise<void>;
