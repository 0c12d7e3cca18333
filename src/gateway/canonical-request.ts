/** The canonical form of a request that Signature Version 4 signs. */
import { hash } from 'node:crypto';

/** A request as it came over the wire: nothing decoded, nothing normalised. */
export interface SignedRequest {
  method: string;
  /** Path of the request line, still percent-encoded, without the query. */
  path: string;
  /** What stood after `?`, still percent-encoded; empty when there was none. */
  query: string;
  /** By lower-case name, as Node gives them (`headers` or `headersDistinct`). */
  headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** One header's value, several of one name joined with a comma. */
export function header(request: SignedRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(',') : value;
}

/** Percent-encodes all but the unreserved characters of RFC 3986. */
export function uriEncode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** Percent-decodes; what is not valid percent-encoded UTF-8 is left as it is. */
export function uriDecode(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Names and values as on the wire; a name without `=` has an empty value. */
export function splitQuery(query: string): [name: string, value: string][] {
  if (query === '') return [];
  return query
    .split('&')
    .filter((part) => part !== '')
    .map((part) => {
      const at = part.indexOf('=');
      return at < 0 ? [part, ''] : [part.slice(0, at), part.slice(at + 1)];
    });
}

export function sha256(data: string | Uint8Array): string {
  return hash('sha256', data, 'hex');
}

/**
 * The canonical requests that this request may have been signed as, the usual one first. Signers disagree in two places where the request
 * means the same: whether the path was encoded anew (S3), and how `+` and unusual encodings in the query are written.
 */
export function* canonicalRequests(
  request: SignedRequest,
  signedHeaders: string[],
  payloadHash: string,
  pathStyle: 's3' | 'normalized',
): Generator<string> {
  const headers = signedHeaders.map((name) => `${name}:${canonicalHeader(request, name)}\n`).join('');
  const tail = `${headers}\n${signedHeaders.join(';')}\n${payloadHash}`;
  for (const path of canonicalPaths(request.path, pathStyle)) {
    for (const query of canonicalQueries(request.query)) yield `${request.method}\n${path}\n${query}\n${tail}`;
  }
}

function canonicalHeader(request: SignedRequest, name: string): string {
  const value = request.headers[name];
  if (Array.isArray(value)) return value.map(collapse).join(',');
  return collapse(value ?? '');
}

function collapse(value: string): string {
  const trimmed = value.trim();
  return /\s\s|[\t\n\v\f\r]/.test(trimmed) ? trimmed.replace(/\s+/g, ' ') : trimmed;
}

function canonicalPaths(path: string, style: 's3' | 'normalized'): string[] {
  if (style === 'normalized') return [normalizePath(path).split('/').map(uriEncode).join('/')];
  const encodedAnew = path
    .split('/')
    .map((segment) => uriEncode(uriDecode(segment)))
    .join('/');
  return path === encodedAnew ? [path] : [path, encodedAnew];
}

/** Without empty and dot segments (RFC 3986, 5.2.4); a slash at the end stays. */
function normalizePath(path: string): string {
  if (!path.includes('//') && !path.includes('/.')) return path || '/';
  const kept: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '..') kept.pop();
    else if (segment !== '' && segment !== '.') kept.push(segment);
  }
  const end = kept.length > 0 && path.endsWith('/') ? '/' : '';
  return `/${kept.join('/')}${end}`;
}

const SIGNATURE_PARAMETER = 'X-Amz-Signature';

function canonicalQueries(query: string): string[] {
  if (query === '') return [''];
  const parts = splitQuery(query).filter(([name]) => name !== SIGNATURE_PARAMETER);
  const encode = (text: string): string => uriEncode(uriDecode(text.replaceAll('+', '%20')));
  const usual = joinSorted(parts.map(([name, value]) => [encode(name), encode(value)]));
  const asSent = joinSorted(parts);
  return usual === asSent ? [usual] : [usual, asSent];
}

function joinSorted(parts: [string, string][]): string {
  const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  return [...parts]
    .sort((a, b) => compare(a[0], b[0]) || compare(a[1], b[1]))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}
