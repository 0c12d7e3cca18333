/** A signed call of a service in AWS's JSON protocols, for those of which no SDK client is installed. */
import { createHash, createHmac } from 'node:crypto';
import type { TestServer } from './server.ts';

export interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
}

/** Throws an error that is named after the service's, as the SDKs do. */
export async function signedCall(server: TestServer, service: string, target: string, input: object): Promise<any> {
  const body = JSON.stringify(input);
  const headers: Record<string, string> = {
    'content-type': 'application/x-amz-json-1.0',
    host: new URL(server.endpoint).host,
    'x-amz-content-sha256': sha256(body),
    'x-amz-date': amzDate(),
    'x-amz-target': target,
  };
  headers.authorization = authorization(headers, body, server.credentials, server.region, service);
  const answer = await fetch(server.endpoint, { method: 'POST', headers, body });
  const output = (await answer.json()) as { __type?: string; message?: string; Message?: string };
  if (answer.ok) return output;
  const error = new Error(output.message ?? output.Message);
  error.name = String(output.__type).split('#').at(-1)!;
  throw error;
}

/** Of now. */
export function amzDate(): string {
  return new Date().toISOString().replace(/[-:]|\.\d{3}/g, '');
}

/** The `authorization` header of a POST to `/`; all `headers` are signed. */
export function authorization(
  headers: Record<string, string>,
  body: string,
  credentials: Credentials,
  region: string,
  service: string,
): string {
  const names = Object.keys(headers).sort();
  const canonical = ['POST', '/', '', ...names.map((name) => `${name}:${headers[name]}`), '', names.join(';'), sha256(body)].join('\n');
  const date = headers['x-amz-date']!;
  const scope = `${date.slice(0, 8)}/${region}/${service}/aws4_request`;
  const key = scope.split('/').reduce<Buffer | string>((secret, part) => hmac(secret, part), `AWS4${credentials.secretAccessKey}`);
  const signature = hmac(key, ['AWS4-HMAC-SHA256', date, scope, sha256(canonical)].join('\n')).toString('hex');
  return `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
}

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const hmac = (key: Buffer | string, text: string): Buffer => createHmac('sha256', key).update(text).digest();
