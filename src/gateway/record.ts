/** What was asked, by whom, and how it ended: the last step of every call, from outside or from inside, also of those that failed. */
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { callerText, safeMessage, valueText } from '../cloud/cloudtrail/journal/facts.ts';
import { type Traits, traitsOf } from '../cloud/cloudtrail/operations.ts';
import { accountOfAccessKey } from '../platform/access-key.ts';
import { AwsError } from '../platform/errors.ts';
import type { Principal } from '../platform/principal.ts';
import type { Exchange } from './exchange.ts';
import { claimedScope } from './signature.ts';

/** CloudTrail's own calls, which deliver what it recorded: recording those would never end. */
const OWN_CALLER = 'cloudtrail.amazonaws.com';
const INSIDE = 'AWS Internal';
const NULL = 'null';

/** An answer may leave when this is resolved: then the record survives whatever happens to the process. */
export function record(exchange: Exchange): Promise<void> | undefined {
  tell(exchange);
  const { recorder } = exchange.gateway;
  const { entry } = exchange;
  if (!recorder || !entry) return undefined;
  const operation = exchange.operationName ?? unreadOperation(exchange);
  const traits = operation === undefined ? undefined : traitsOf(entry.name, entry.model, operation);
  if (!traits) return undefined;
  const who = whoAsked(exchange);
  if (!who || (traits.dataType !== undefined && !recorder.wantsData(who.account, traits.dataType))) return undefined;
  const { error, input, output } = exchange;
  return recorder.note({
    time: exchange.gateway.platform.now().getTime(),
    requestId: exchange.requestId,
    service: entry.name,
    operation: operation!,
    caller: who.caller,
    tls: exchange.call.secure ? tlsText(exchange) : undefined,
    error: error && errorOf(exchange, error, traits),
    input: valueText(traits.input, input),
    output: traits.withOutput && !error ? valueText(traits.output, output) : NULL,
  });
}

/** The account and the caller; undefined when nobody can be named: then it is nobody's audit. */
function whoAsked(exchange: Exchange): { account: string; caller: string } | undefined {
  const { call, gateway } = exchange;
  const principal = exchange.principal?.type === 'WebIdentity' ? vouchedFor(exchange) : exchange.principal;
  const userAgent = call.headers['user-agent'];
  // Only calls from outside have somebody who may go.
  const inside = call.onGone === undefined ? String(userAgent) : undefined;
  if (inside === OWN_CALLER) return undefined;
  const claimed = principal ? undefined : claimedAccount(exchange);
  const account = principal?.account ?? claimed?.account;
  if (account === undefined) return undefined;
  const service = inside?.endsWith('.amazonaws.com') ? inside : undefined;
  const caller = callerText({
    account,
    region: exchange.region ?? claimed?.region ?? gateway.platform.config.region,
    principal,
    accessKeyId: claimed?.accessKeyId,
    sourceIp: inside === undefined ? plainAddress(call.sourceIp) : (service ?? INSIDE),
    userAgent: inside === undefined ? String(userAgent ?? '') : (service ?? INSIDE),
    invokedBy: service,
  });
  return { account, caller };
}

/**
 * Of an unsigned request for a role's session: it is the affair of the role's account, and its answer tells for whom the provider vouched.
 * Nobody's without a role that could be.
 */
function vouchedFor({ input, output }: Exchange): Principal | undefined {
  const { RoleArn } = (input ?? {}) as { RoleArn?: unknown };
  const account = typeof RoleArn === 'string' ? /^arn:aws[\w-]*:iam::(\d{12}):role\//.exec(RoleArn)?.[1] : undefined;
  if (account === undefined) return undefined;
  const { Provider: provider, Audience, SubjectFromWebIdentityToken: name } = (output ?? {}) as Record<string, string | undefined>;
  const id = provider === undefined ? 'unknown' : `${provider}:${Audience}:${name}`;
  return { type: 'WebIdentity', account, arn: id, id, provider, name };
}

/** What an access key claims that exists here, but whose signature was wrong. Of keys that do not, the account is made up. */
function claimedAccount({ call, error }: Exchange): { account: string; accessKeyId: string; region: string } | undefined {
  if (!(error instanceof AwsError) || !KNOWN_KEY.has(error.code)) return undefined;
  const scope = claimedScope(call);
  const account = scope && accountOfAccessKey(scope.accessKeyId);
  return account === undefined ? undefined : { account, accessKeyId: scope!.accessKeyId, region: scope!.region };
}

/** Errors that only a known access key can meet. */
const KNOWN_KEY = new Set(['SignatureDoesNotMatch', 'InvalidSignatureException', 'ExpiredTokenException', 'ExpiredToken']);

/** Of a query service's call that was not believed: its form was never looked at. */
function unreadOperation({ entry, body, error }: Exchange): string | undefined {
  if (!error || !body || entry!.model.metadata.protocol !== 'query') return undefined;
  return new URLSearchParams(body.toString('latin1')).get('Action') ?? undefined;
}

function errorOf({ entry }: Exchange, error: Error, traits: Traits): { code: string; message: string } {
  if (!(error instanceof AwsError)) return { code: 'InternalFailure', message: 'An unknown error occurred' };
  const { protocol } = entry!.model.metadata;
  const xml = protocol === 'query' || protocol === 'rest-xml';
  const code = xml && error.code === 'AccessDeniedException' ? 'AccessDenied' : error.code;
  return { code, message: safeMessage(traits.input, error.message) };
}

/** `127.0.0.1` of `::ffff:127.0.0.1`. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address;
}

const tlsTexts = new WeakMap<TLSSocket, string>();

function tlsText({ call }: Exchange): string | undefined {
  const socket = (call.stream as IncomingMessage).socket as TLSSocket | undefined;
  if (!socket?.getProtocol) return undefined;
  let text = tlsTexts.get(socket);
  if (text === undefined) {
    const host = String(call.headers.host ?? '').slice(0, 255);
    text = JSON.stringify({ version: socket.getProtocol(), cipher: socket.getCipher()?.standardName ?? '', host });
    tlsTexts.set(socket, text);
  }
  return text;
}

function tell(exchange: Exchange): void {
  const { log } = exchange.gateway.platform;
  if (!log.isLevelEnabled('debug')) return;
  const { error } = exchange;
  log.debug(
    {
      requestId: exchange.requestId,
      service: exchange.entry?.name,
      operation: exchange.operationName,
      region: exchange.region,
      principal: exchange.principal?.arn,
      sourceIp: exchange.call.sourceIp,
      userAgent: exchange.call.headers['user-agent'],
      status: exchange.response?.status,
      error: error instanceof AwsError ? error.code : error?.message,
      ms: performance.now() - exchange.startedAt,
    },
    'call',
  );
}
