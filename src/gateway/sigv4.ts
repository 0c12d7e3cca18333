/**
 * Who sent this request? Signature Version 4 in the header or in the URL (and Version 2 in URLs, which `aws s3 presign` of the AWS CLI v1
 * still makes). The signature covers the payload only by its hash: the answer says what remains to be checked on the body.
 */

import type { KeyObject } from 'node:crypto';
import { AwsError } from '../platform/errors.ts';
import type { Principal } from '../platform/principal.ts';
import { canonicalRequests, header, type SignedRequest, sha256 } from './canonical-request.ts';
import { type CredentialLookup, findCredentials } from './known-credentials.ts';
import { ALGORITHM, type ParsedSignature, parseSignature, queryParameter } from './signature.ts';
import {
  badSignature,
  clockSkew,
  contentHashMismatch,
  type ErrorFamily,
  incompleteSignature,
  missingAuthentication,
  signatureMismatch,
} from './signature-errors.ts';
import { isSignedV2, verifyV2 } from './signature-v2.ts';
import { type Scope, sameSignature, scopeText, sign, signingKey } from './signing-key.ts';

export interface AuthenticationOptions {
  family: ErrorFamily;
  lookup: CredentialLookup;
  now: Date;
  /** The whole body, when it has been read. Absent for streamed bodies: then `x-amz-content-sha256` is believed and must be checked by `payload`. */
  body?: Uint8Array;
  /** Signing names that this endpoint answers to; a signature for another service is refused. */
  services?: readonly string[];
  /** S3, virtual-host style: the bucket that the host names. Only Version 2 signatures need it. */
  hostBucket?: string;
}

/** What the signature says of the body. */
export type Payload =
  /** Hex SHA-256 of the body. With `options.body` given, it has been compared. */
  | { kind: 'hash'; sha256: string }
  /** Not covered by the signature. */
  | { kind: 'unsigned' }
  /** `aws-chunked`: see chunked.ts. `seed` only where chunks are signed. */
  | { kind: 'chunked'; signed: boolean; trailer: boolean; seed: ChunkSeed | undefined };

/** Where the chain of chunk signatures begins. */
export interface ChunkSeed {
  key: KeyObject;
  scope: string;
  timestamp: string;
  signature: string;
}

export interface Authenticated {
  principal: Principal;
  accessKeyId: string;
  /** Undefined for Version 2, which names neither region nor service. */
  scope: Scope | undefined;
  form: 'header' | 'query';
  payload: Payload;
}

const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const MINUTE_MS = 60_000;

/** Throws the family's own AwsError when the request is unsigned, stale, unknown or tampered with. */
export async function authenticate(request: SignedRequest, options: AuthenticationOptions): Promise<Authenticated> {
  const { family, now } = options;
  if (family === 's3' && isSignedV2(request)) return verifyV2(request, options);
  const parsed = parseSignature(request, family);
  if (!parsed) throw missingAuthentication(family);
  requireFresh(parsed, family, now);
  requireScope(parsed, options);
  requireSignedHeaders(request, parsed, family);
  const { secret, principal } = await findCredentials(parsed.accessKeyId, parsed.sessionToken, options);
  const claimed = claimedPayload(request, parsed, options);
  const key = signingKey(secret, parsed.scope);
  if (!signatureMatches(request, parsed, key, claimed, family)) {
    throw signatureMismatch(family, { AWSAccessKeyId: parsed.accessKeyId, SignatureProvided: parsed.signature });
  }
  return {
    principal,
    accessKeyId: parsed.accessKeyId,
    scope: parsed.scope,
    form: parsed.form,
    payload: payloadOf(claimed, { key, scope: scopeText(parsed.scope), timestamp: parsed.timestamp, signature: parsed.signature }),
  };
}

/** Five minutes of skew either way, fifteen for S3; presigned requests from their date until they expire. */
function requireFresh(parsed: ParsedSignature, family: ErrorFamily, now: Date): void {
  const skewMinutes = family === 's3' ? 15 : 5;
  const age = now.getTime() - parsed.signedAt.getTime();
  const presigned = parsed.form === 'query' && parsed.expiresSeconds !== undefined;
  const expired = presigned ? age > parsed.expiresSeconds! * 1000 : age > skewMinutes * MINUTE_MS;
  const early = -age > skewMinutes * MINUTE_MS;
  if (!expired && !early) return;
  if (!presigned || family !== 's3') throw clockSkew(family, parsed.signedAt, now, skewMinutes);
  if (early) throw new AwsError('AccessDenied', 'Request is not yet valid', { status: 403 });
  throw new AwsError('AccessDenied', 'Request has expired', {
    status: 403,
    fields: {
      'X-Amz-Expires': String(parsed.expiresSeconds),
      Expires: isoSeconds(new Date(parsed.signedAt.getTime() + parsed.expiresSeconds! * 1000)),
      ServerTime: isoSeconds(now),
    },
  });
}

function isoSeconds(date: Date): string {
  return date.toISOString().replace(/\.\d+Z$/, 'Z');
}

function requireScope({ scope, timestamp }: ParsedSignature, { family, services }: AuthenticationOptions): void {
  const day = timestamp.slice(0, 8);
  if (scope.date !== day) {
    const message = `Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '${scope.date}' != '${day}', from '${timestamp}'.`;
    throw family === 's3' ? incompleteSignature(family, message) : badSignature(family, message);
  }
  if (services && !services.includes(scope.service)) {
    if (family === 's3')
      throw incompleteSignature(family, `incorrect service "${scope.service}". This endpoint belongs to "${services[0]}".`);
    throw badSignature(family, `Credential should be scoped to correct service: '${services[0]}'.`);
  }
}

/** What names the operation or the caller must be signed: a middleman could else turn one request into another. */
function requireSignedHeaders(request: SignedRequest, { form, signedHeaders }: ParsedSignature, family: ErrorFamily): void {
  if (!signedHeaders.includes('host')) {
    throw badSignature(family, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.");
  }
  const mustBeSigned =
    family === 's3'
      ? (name: string) => name.startsWith('x-amz-') && name !== 'x-amz-user-agent' && !(form === 'query' && name === 'x-amz-content-sha256')
      : (name: string) => name === 'x-amz-target' || name === 'x-amz-date' || name === 'x-amz-security-token';
  const unsigned = Object.keys(request.headers).filter((name) => mustBeSigned(name) && !signedHeaders.includes(name));
  if (unsigned.length === 0) return;
  if (family === 's3') {
    throw new AwsError('AccessDenied', 'There were headers present in the request which were not signed', {
      status: 403,
      fields: { HeadersNotSigned: unsigned.join(', ') },
    });
  }
  throw badSignature(family, `'${unsigned[0]}' must be a 'SignedHeader' in the AWS Authorization.`);
}

/** The payload hash line of the canonical request. */
function claimedPayload(request: SignedRequest, parsed: ParsedSignature, { family, body }: AuthenticationOptions): string {
  const given = header(request, 'x-amz-content-sha256') ?? queryParameter(request.query, 'X-Amz-Content-Sha256');
  if (family === 's3') return s3Payload(given, parsed, body);
  if (body) return sha256(body);
  return given ?? EMPTY_SHA256;
}

function s3Payload(given: string | undefined, parsed: ParsedSignature, body: Uint8Array | undefined): string {
  if (parsed.form === 'query') return given ?? 'UNSIGNED-PAYLOAD';
  if (given === undefined) {
    throw new AwsError('InvalidRequest', 'Missing required header for this request: x-amz-content-sha256', { status: 400 });
  }
  if (!STREAMING.has(given) && given !== 'UNSIGNED-PAYLOAD' && !/^[0-9a-f]{64}$/.test(given)) {
    throw new AwsError(
      'InvalidArgument',
      'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.',
      { status: 400, fields: { ArgumentName: 'x-amz-content-sha256', ArgumentValue: given } },
    );
  }
  if (body && /^[0-9a-f]{64}$/.test(given)) {
    const computed = sha256(body);
    if (computed !== given) throw contentHashMismatch(given, computed);
  }
  return given;
}

const STREAMING = new Map([
  ['STREAMING-AWS4-HMAC-SHA256-PAYLOAD', { signed: true, trailer: false }],
  ['STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER', { signed: true, trailer: true }],
  ['STREAMING-UNSIGNED-PAYLOAD-TRAILER', { signed: false, trailer: true }],
]);

function payloadOf(claimed: string, seed: ChunkSeed): Payload {
  const streaming = STREAMING.get(claimed);
  if (streaming) return { kind: 'chunked', ...streaming, seed: streaming.signed ? seed : undefined };
  return claimed === 'UNSIGNED-PAYLOAD' ? { kind: 'unsigned' } : { kind: 'hash', sha256: claimed };
}

function signatureMatches(
  request: SignedRequest,
  parsed: ParsedSignature,
  key: KeyObject,
  payloadHash: string,
  family: ErrorFamily,
): boolean {
  const prefix = `${ALGORITHM}\n${parsed.timestamp}\n${scopeText(parsed.scope)}\n`;
  for (const canonical of canonicalRequests(request, parsed.signedHeaders, payloadHash, family === 's3' ? 's3' : 'normalized')) {
    if (sameSignature(sign(key, prefix + sha256(canonical)), parsed.signature)) return true;
  }
  return false;
}
