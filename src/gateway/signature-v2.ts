/** Signature Version 2 in the URLs of S3: `AWSAccessKeyId`, `Expires`, `Signature`. Still made by `aws s3 presign` of the AWS CLI v1. */
import { createHmac } from 'node:crypto';
import { AwsError } from '../platform/errors.ts';
import { header, type SignedRequest, splitQuery, uriDecode } from './canonical-request.ts';
import { findCredentials } from './known-credentials.ts';
import { queryParameter } from './signature.ts';
import { signatureMismatch } from './signature-errors.ts';
import { sameSignature } from './signing-key.ts';
import type { Authenticated, AuthenticationOptions } from './sigv4.ts';

/** Query parameters that are part of the signed resource. */
const SUB_RESOURCES = new Set(
  [
    'accelerate acl analytics cors delete encryption inventory lifecycle location logging metrics notification object-lock partNumber policy',
    'publicAccessBlock replication requestPayment restore retention tagging torrent uploadId uploads versionId versioning versions website',
    'response-cache-control response-content-disposition response-content-encoding response-content-language response-content-type response-expires',
  ].flatMap((line) => line.split(' ')),
);

export function isSignedV2(request: SignedRequest): boolean {
  return request.query.includes('AWSAccessKeyId=') && request.query.includes('Signature=');
}

export async function verifyV2(request: SignedRequest, options: AuthenticationOptions): Promise<Authenticated> {
  const accessKeyId = queryParameter(request.query, 'AWSAccessKeyId');
  const signature = queryParameter(request.query, 'Signature');
  const expires = queryParameter(request.query, 'Expires');
  if (!accessKeyId || !signature || !expires) {
    throw new AwsError('AccessDenied', 'Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters', {
      status: 403,
    });
  }
  if (!/^\d{1,12}$/.test(expires)) {
    throw new AwsError('AccessDenied', `Invalid date (should be seconds since epoch): ${expires}`, { status: 403 });
  }
  if (options.now.getTime() > Number(expires) * 1000) {
    throw new AwsError('AccessDenied', 'Request has expired', {
      status: 403,
      fields: { Expires: new Date(Number(expires) * 1000).toISOString(), ServerTime: options.now.toISOString() },
    });
  }
  const token = header(request, 'x-amz-security-token') ?? queryParameter(request.query, 'x-amz-security-token');
  const { secret, principal } = await findCredentials(accessKeyId, token, options);
  const expected = createHmac('sha1', secret)
    .update(stringToSign(request, expires, options.hostBucket))
    .digest('base64');
  if (!sameSignature(expected, signature)) {
    throw signatureMismatch('s3', { AWSAccessKeyId: accessKeyId, SignatureProvided: signature });
  }
  return { principal, accessKeyId, scope: undefined, form: 'query', payload: { kind: 'unsigned' } };
}

function stringToSign(request: SignedRequest, expires: string, hostBucket: string | undefined): string {
  const fromHeaders = Object.keys(request.headers).filter((name) => name.startsWith('x-amz-'));
  const amz = new Map(fromHeaders.map((name) => [name, header(request, name)!]));
  for (const [name, value] of splitQuery(request.query)) {
    if (name.toLowerCase().startsWith('x-amz-')) amz.set(name.toLowerCase(), uriDecode(value));
  }
  const amzHeaders = [...amz].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => `${name}:${value.trim()}\n`);
  const contentMd5 = header(request, 'content-md5') ?? '';
  const contentType = header(request, 'content-type') ?? '';
  return `${request.method}\n${contentMd5}\n${contentType}\n${expires}\n${amzHeaders.join('')}${resource(request, hostBucket)}`;
}

function resource(request: SignedRequest, hostBucket: string | undefined): string {
  const path = hostBucket === undefined ? request.path : `/${hostBucket}${request.path}`;
  const parts = splitQuery(request.query)
    .filter(([name]) => SUB_RESOURCES.has(name))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => (value === '' ? name : `${name}=${uriDecode(value)}`));
  return parts.length === 0 ? path : `${path}?${parts.join('&')}`;
}
