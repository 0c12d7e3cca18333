/** AWS requests as bytes for the wire, signed ahead of time, so that the load generator has nothing to do but to send them. */
import { sign } from '../../src/agent/sigv4.ts';

export interface Target {
  endpoint: string;
  region: string;
  credentials: { accessKeyId: string; secretAccessKey: string };
}

/** An operation of a JSON service. */
export function jsonRequest(target: Target, service: string, operation: string, input: object): string {
  const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': operation };
  return wireRequest(target, service, headers, JSON.stringify(input));
}

/** An operation of a query service. */
export function queryRequest(target: Target, service: string, form: Record<string, string>): string {
  return wireRequest(target, service, { 'content-type': 'application/x-www-form-urlencoded' }, new URLSearchParams(form).toString());
}

function wireRequest({ endpoint, region, credentials }: Target, service: string, headers: Record<string, string>, body: string): string {
  const url = new URL('/', endpoint);
  const signed = sign({ method: 'POST', url, headers, body }, { service, region, now: new Date() }, credentials);
  const lines = Object.entries({ ...signed, 'content-length': String(Buffer.byteLength(body)) }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  return `POST / HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${body}`;
}
