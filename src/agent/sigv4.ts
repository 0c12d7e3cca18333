import { createHash, createHmac } from 'node:crypto';
import type { Credentials } from './credentials.ts';

export interface SignableRequest {
  method: string;
  /** The path must be percent-encoded as it goes over the wire. */
  url: URL;
  headers: Record<string, string>;
  body: string;
}

/**
 * The headers of a request with an AWS Signature Version 4 added: every header given is signed, and `host`, `x-amz-date` and
 * `x-amz-content-sha256` beside them.
 * Source: "Create a signed AWS API request" in the IAM user guide. The path is taken as encoded once, which is S3's rule and makes no
 * difference to the other service called here, whose path is always `/`.
 */
export function sign(
  request: SignableRequest,
  scope: { service: string; region: string; now: Date },
  credentials: Credentials,
): Record<string, string> {
  const timestamp = scope.now.toISOString().replace(/[-:]|\.\d+/g, '');
  const day = timestamp.slice(0, 8);
  const payload = sha256(request.body);
  const headers: Record<string, string> = {
    ...request.headers,
    host: request.url.host,
    'x-amz-date': timestamp,
    'x-amz-content-sha256': payload,
    ...(credentials.sessionToken && { 'x-amz-security-token': credentials.sessionToken }),
  };

  const sorted = Object.entries(headers)
    .map(([name, value]) => [name.toLowerCase(), value.trim().replace(/\s+/g, ' ')] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const names = sorted.map(([name]) => name).join(';');
  const query = [...request.url.searchParams]
    .map(([key, value]) => `${encode(key)}=${encode(value)}`)
    .sort()
    .join('&');
  const canonical = [
    request.method,
    request.url.pathname,
    query,
    ...sorted.map(([name, value]) => `${name}:${value}`),
    '',
    names,
    payload,
  ].join('\n');

  const credentialScope = `${day}/${scope.region}/${scope.service}/aws4_request`;
  const toSign = ['AWS4-HMAC-SHA256', timestamp, credentialScope, sha256(canonical)].join('\n');
  const key = [day, scope.region, scope.service, 'aws4_request'].reduce<Buffer | string>(hmac, `AWS4${credentials.secretAccessKey}`);
  const signature = hmac(key, toSign).toString('hex');
  return {
    ...headers,
    authorization: `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${credentialScope}, SignedHeaders=${names}, Signature=${signature}`,
  };
}

/** Percent-encodes everything but RFC 3986's unreserved characters. */
export function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function hmac(key: Buffer | string, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
