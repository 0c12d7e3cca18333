/** Reading a Signature Version 4 out of a request, from its header or from its query, before anything is verified. */
import { header, type SignedRequest, splitQuery, uriDecode } from './canonical-request.ts';
import { badQueryParameters, type ErrorFamily, incompleteSignature } from './signature-errors.ts';
import type { Scope } from './signing-key.ts';

export interface ParsedSignature {
  form: 'header' | 'query';
  accessKeyId: string;
  scope: Scope;
  signedHeaders: string[];
  signature: string;
  /** `YYYYMMDDTHHMMSSZ`, as signed. */
  timestamp: string;
  signedAt: Date;
  sessionToken: string | undefined;
  /** Only presigned: how long it may be used. */
  expiresSeconds: number | undefined;
}

export const ALGORITHM = 'AWS4-HMAC-SHA256';
const CREDENTIAL = /^([^/\s]{1,128})\/(\d{8})\/([^/\s]{1,64})\/([^/\s]{1,64})\/aws4_request$/;
const MAX_PRESIGNED_SECONDS = 604_800;

/** Undefined when the request carries no Signature Version 4. Throws the family's own error when it carries a broken one. */
export function parseSignature(request: SignedRequest, family: ErrorFamily): ParsedSignature | undefined {
  const authorization = header(request, 'authorization');
  if (authorization?.startsWith('AWS4-')) return parseHeader(request, authorization, family);
  return request.query.includes('X-Amz-') ? parseQuery(request, family) : undefined;
}

/** Which service and region the request says it is signed for; undefined when unsigned or unreadable. For finding the service, not for trust. */
export function claimedScope(request: SignedRequest): (Scope & { accessKeyId: string }) | undefined {
  const text =
    /Credential=([^,\s]+)/.exec(header(request, 'authorization') ?? '')?.[1] ?? queryParameter(request.query, 'X-Amz-Credential') ?? '';
  const found = CREDENTIAL.exec(text);
  return found ? { accessKeyId: found[1]!, date: found[2]!, region: found[3]!, service: found[4]! } : undefined;
}

export function queryParameter(query: string, wanted: string): string | undefined {
  const found = splitQuery(query).find(([name]) => name === wanted);
  return found && uriDecode(found[1]);
}

function parseHeader(request: SignedRequest, authorization: string, family: ErrorFamily): ParsedSignature {
  const space = authorization.indexOf(' ');
  if (space < 0 || authorization.slice(0, space) !== ALGORITHM) {
    throw incompleteSignature(family, `Unsupported algorithm: only ${ALGORITHM} is supported.`);
  }
  const fields = new Map<string, string>();
  for (const part of authorization.slice(space + 1).split(',')) {
    const at = part.indexOf('=');
    if (at > 0) fields.set(part.slice(0, at).trim(), part.slice(at + 1).trim());
  }
  const missing = ['Credential', 'Signature', 'SignedHeaders'].filter((name) => !fields.get(name));
  if (missing.length > 0) {
    throw incompleteSignature(family, missing.map((name) => `Authorization header requires '${name}' parameter.`).join(' '));
  }
  const credential = CREDENTIAL.exec(fields.get('Credential')!);
  if (!credential) {
    throw incompleteSignature(
      family,
      family === 's3'
        ? 'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
        : "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, and end with 'aws4_request'.",
    );
  }
  const timestamp = timestampOf(request);
  const signedAt = timestamp === undefined ? undefined : parseBasicTime(timestamp);
  if (timestamp === undefined || signedAt === undefined) {
    throw incompleteSignature(family, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.");
  }
  return {
    form: 'header',
    accessKeyId: credential[1]!,
    scope: { date: credential[2]!, region: credential[3]!, service: credential[4]! },
    signedHeaders: fields.get('SignedHeaders')!.toLowerCase().split(';'),
    signature: fields.get('Signature')!,
    timestamp,
    signedAt,
    sessionToken: header(request, 'x-amz-security-token'),
    expiresSeconds: undefined,
  };
}

/** `X-Amz-Date`, else `Date` in either form, as the string to sign has it. */
function timestampOf(request: SignedRequest): string | undefined {
  const given = header(request, 'x-amz-date') ?? header(request, 'date');
  if (given === undefined || /^\d{8}T\d{6}Z$/.test(given)) return given;
  const parsed = Date.parse(given);
  return Number.isNaN(parsed) ? undefined : new Date(parsed).toISOString().replace(/[-:]|\.\d{3}/g, '');
}

const QUERY_PARAMETERS = ['X-Amz-Algorithm', 'X-Amz-Credential', 'X-Amz-Signature', 'X-Amz-Date', 'X-Amz-SignedHeaders'] as const;

function parseQuery(request: SignedRequest, family: ErrorFamily): ParsedSignature | undefined {
  const given = new Map(splitQuery(request.query).map(([name, value]) => [uriDecode(name), uriDecode(value)]));
  if (!given.has('X-Amz-Algorithm') && !given.has('X-Amz-Signature')) return undefined;
  const fail = (message: string): never => {
    throw badQueryParameters(family, message);
  };
  if (QUERY_PARAMETERS.some((name) => !given.get(name)) || (family === 's3' && !given.has('X-Amz-Expires'))) {
    fail(
      'Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.',
    );
  }
  if (given.get('X-Amz-Algorithm') !== ALGORITHM) fail(`X-Amz-Algorithm only supports "${ALGORITHM}"`);
  const credential = CREDENTIAL.exec(given.get('X-Amz-Credential')!);
  if (!credential) {
    return fail(
      'Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
    );
  }
  const timestamp = given.get('X-Amz-Date')!;
  const signedAt = parseBasicTime(timestamp);
  if (!signedAt) return fail("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"");
  return {
    form: 'query',
    accessKeyId: credential[1]!,
    scope: { date: credential[2]!, region: credential[3]!, service: credential[4]! },
    signedHeaders: given.get('X-Amz-SignedHeaders')!.toLowerCase().split(';'),
    signature: given.get('X-Amz-Signature')!,
    timestamp,
    signedAt,
    sessionToken: given.get('X-Amz-Security-Token') || undefined,
    expiresSeconds: expiresSeconds(given.get('X-Amz-Expires'), fail),
  };
}

function expiresSeconds(text: string | undefined, fail: (message: string) => never): number | undefined {
  if (text === undefined) return undefined;
  if (!/^-?\d{1,12}$/.test(text)) fail('X-Amz-Expires should be a number');
  const seconds = Number(text);
  if (seconds < 0) fail('X-Amz-Expires must be non-negative');
  if (seconds > MAX_PRESIGNED_SECONDS) {
    fail(
      `X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than ${MAX_PRESIGNED_SECONDS} seconds`,
    );
  }
  return seconds;
}

/** Undefined unless `YYYYMMDDTHHMMSSZ` and a real date. */
export function parseBasicTime(text: string): Date | undefined {
  const found = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (!found) return undefined;
  const [, year, month, day, hour, minute, second] = found;
  const time = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(time.getTime()) ? undefined : time;
}
