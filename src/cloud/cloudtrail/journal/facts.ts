/**
 * One line of the journal: what was asked, by whom, and how it ended, secrets left out already. Written while a client waits, so as plain as
 * can be; render.ts makes AWS's form of it later.
 */
import type { Principal } from '../../../platform/principal.ts';
import { type Mask, masked } from '../masks.ts';

/** Who called, from where and with what: the same for many calls, so its text is kept. */
export interface Caller {
  account: string;
  region: string;
  /** Absent when the caller could not be believed; then `accessKeyId` is what it claimed. */
  principal?: RecordedPrincipal;
  accessKeyId?: string;
  sourceIp: string;
  userAgent: string;
  /** The service that called, `codepipeline.amazonaws.com`, for calls from inside. */
  invokedBy?: string;
}

/** A principal without what is of no use to an audit. */
export interface RecordedPrincipal {
  type: Principal['type'];
  account: string;
  arn: string;
  id: string;
  name?: string;
  roleArn?: string;
  roleName?: string;
  /** Of a token: who vouched for it. */
  provider?: string;
  /** Of temporary credentials: when they were made, in milliseconds since 1970. */
  issuedAt?: number;
  sourceIdentity?: string;
}

/** What git did, where there is no operation of the API. */
export interface GitAccess {
  protocol: 'HTTP' | 'HTTPS' | 'SSH';
  repositoryName: string;
  repositoryId: string | undefined;
  /** Whether a pack, or commands, went over the wire. */
  dataTransferred: boolean;
  /** Of a push: what each reference became, nothing when it was deleted; `error` when it was refused. */
  references: { ref: string; commit: string | undefined; error: string | undefined }[] | undefined;
  /** How many more there were. */
  referencesOmitted: number | undefined;
}

export interface Fact {
  time: number;
  requestId: string;
  service: string;
  operation: string;
  caller: Caller;
  tls?: Tls | undefined;
  error?: { code: string; message: string } | undefined;
  input?: unknown;
  output?: unknown;
  git?: GitAccess | undefined;
}

export interface Tls {
  version: string;
  cipher: string;
  host: string;
}

/** AWS's bounds of a field, in bytes; we count characters, which is never more. */
const MAX_FIELD = 100 * 1024;
const MAX_SHORT_FIELD = 1024;
/** Texts of so many callers are kept. */
const MAX_CALLERS = 2_000;
const NULL = 'null';

/** Said of a field that was too long to be kept. */
export interface Omitted {
  omitted: true;
  originalSize: number;
  reason: string;
}

let callerTexts = new Map<string, string>();

export interface CallerParts {
  account: string;
  region: string;
  principal: Principal | undefined;
  accessKeyId: string | undefined;
  sourceIp: string;
  userAgent: string;
  invokedBy: string | undefined;
}

/** The caller as it stands in the line; made once for each. */
export function callerText(parts: CallerParts): string {
  const { account, region, principal, sourceIp, userAgent, invokedBy } = parts;
  const accessKeyId = principal && 'accessKeyId' in principal ? principal.accessKeyId : parts.accessKeyId;
  // Everything about temporary credentials is fixed by their access key.
  const key = `${principal?.arn}\n${accessKeyId}\n${account}\n${region}\n${sourceIp}\n${invokedBy}\n${userAgent}`;
  const kept = callerTexts.get(key);
  if (kept !== undefined) return kept;
  const caller: Caller = {
    account,
    region,
    principal: principal && recorded(principal),
    accessKeyId,
    sourceIp,
    userAgent: userAgent.slice(0, MAX_SHORT_FIELD),
    invokedBy,
  };
  const text = JSON.stringify(caller);
  if (callerTexts.size >= MAX_CALLERS) callerTexts = new Map();
  callerTexts.set(key, text);
  return text;
}

function recorded(principal: Principal): RecordedPrincipal {
  const { type, account, arn, id } = principal;
  const session = 'session' in principal ? principal.session : undefined;
  return {
    type,
    account,
    arn,
    id,
    name: 'name' in principal ? principal.name : undefined,
    roleArn: 'roleArn' in principal ? principal.roleArn : undefined,
    roleName: 'roleName' in principal ? principal.roleName : undefined,
    provider: 'provider' in principal ? principal.provider : undefined,
    issuedAt: session?.issuedAt.getTime(),
    sourceIdentity: session?.sourceIdentity,
  };
}

export interface LineParts {
  time: number;
  requestId: string;
  service: string;
  operation: string;
  caller: string;
  tls: string | undefined;
  error: { code: string; message: string } | undefined;
  input: string;
  output: string;
  git?: GitAccess | undefined;
}

/** `service`, `operation` and `requestId` are our own words and need no quoting. */
export function factLine(parts: LineParts): string {
  const { time, requestId, service, operation, caller, tls, error, input, output, git } = parts;
  const head = `[${time},"${requestId}","${service}","${operation}",${caller},${tls ?? NULL},`;
  return `${head}${error ? errorText(error) : NULL},${input},${output},${git ? bounded(JSON.stringify(git)) : NULL}]\n`;
}

export function parseFact(line: string): Fact {
  const [time, requestId, service, operation, caller, tls, error, input, output, git] = JSON.parse(line);
  return {
    time,
    requestId,
    service,
    operation,
    caller,
    tls: tls ?? undefined,
    error: error ? { code: error[0], message: error[1] } : undefined,
    input: input ?? undefined,
    output: output ?? undefined,
    git: git ?? undefined,
  };
}

function errorText({ code, message }: { code: string; message: string }): string {
  return JSON.stringify([code.slice(0, MAX_SHORT_FIELD), message.slice(0, MAX_SHORT_FIELD)]);
}

/** An input or output without its secrets; `null` when there is nothing to tell. */
export function valueText(mask: Mask | undefined, value: Record<string, unknown> | undefined): string {
  if (value === undefined) return NULL;
  const text = JSON.stringify(mask ? masked(mask, value) : value);
  return text === undefined || text === '{}' ? NULL : bounded(text);
}

function bounded(text: string): string {
  if (text.length <= MAX_FIELD) return text;
  const omitted: Omitted = { omitted: true, originalSize: text.length, reason: 'field too large' };
  return JSON.stringify(omitted);
}

/** The message of a refused input may quote it; of an operation that takes secrets nothing is quoted. */
export function safeMessage(mask: Mask | undefined, message: string): string {
  const quoted = mask ? message.indexOf("Value '") : -1;
  return quoted < 0 ? message : `${message.slice(0, quoted)}HIDDEN_DUE_TO_SECURITY_REASONS`;
}
