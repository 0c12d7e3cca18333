/** Calls of the providers' REST APIs, with a project's credential. Follows no redirect: the token is for one host. */
import http from 'node:http';
import https from 'node:https';
import { ForbiddenAddressError, guardedLookup, isForbiddenHost } from '../../../platform/guarded-lookup.ts';
import type { Credential } from './credential.ts';
import type { RemoteRepository } from './provider.ts';

const TIMEOUT_MS = 10_000;
const MAX_BYTES = 8 * 1024 * 1024;

/** The provider did not do what it was asked for. The message is for users and holds nothing secret. */
export class ProviderError extends Error {
  override readonly name = 'ProviderError';
  /** HTTP; undefined when there was no answer. */
  readonly status: number | undefined;

  constructor(message: string, status?: number) {
    super(message);
    this.status = status;
  }

  /** Whether the same call may succeed later. */
  get transient(): boolean {
    return this.status === undefined || this.status === 429 || this.status >= 500;
  }
}

export interface ProviderCall {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Behind the API's base, beginning with a slash; its parts already encoded. */
  path: string;
  body?: unknown;
  /** Answers that are no failure, beside 2xx. */
  accept?: number[];
}

export interface ProviderAnswer {
  status: number;
  /** Parsed JSON; undefined when there was no body. */
  body: any;
}

/** Throws ProviderError. */
export function callProvider(remote: RemoteRepository, credential: Credential | undefined, call: ProviderCall): Promise<ProviderAnswer> {
  const url = new URL(`${remote.api}${call.path}`);
  const what = `${call.method} ${url.origin}${url.pathname}`;
  if (isForbiddenHost(url.hostname)) return Promise.reject(new ProviderError(new ForbiddenAddressError(url.hostname).message, 400));
  const payload = call.body === undefined ? undefined : Buffer.from(JSON.stringify(call.body));
  const secure = url.protocol === 'https:';
  return new Promise((resolve, reject) => {
    const request = (secure ? https : http).request(
      url,
      {
        method: call.method,
        lookup: guardedLookup,
        agent: false,
        signal: AbortSignal.timeout(TIMEOUT_MS),
        ...(secure ? { rejectUnauthorized: !remote.insecureSsl } : {}),
        headers: {
          accept: 'application/json',
          'user-agent': 'AWS-CodeBuild',
          ...(credential ? { authorization: credential.apiAuthorization } : {}),
          ...(payload ? { 'content-type': 'application/json', 'content-length': payload.length } : {}),
        },
      },
      (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on('data', (chunk: Buffer) => {
          size += chunk.length;
          chunks.push(chunk);
          if (size > MAX_BYTES) request.destroy(new Error(`the answer has more than ${MAX_BYTES} bytes`));
        });
        response.once('error', reject);
        response.once('end', () => {
          const status = response.statusCode ?? 0;
          const body = parsed(Buffer.concat(chunks).toString());
          if ((status >= 200 && status < 300) || call.accept?.includes(status)) return resolve({ status, body });
          reject(new ProviderError(`${what} was answered with ${status}${said(body, credential)}`, status));
        });
      },
    );
    request.once('error', (error) => reject(new ProviderError(`${what} had no answer: ${error.message}`)));
    request.end(payload);
  });
}

/** All items of a list that GitHub and GitLab give by pages of 100; stops after `most`. */
export async function pagesOf<T>(
  remote: RemoteRepository,
  credential: Credential | undefined,
  path: string,
  itemsOf: (body: any) => T[],
  most: number,
): Promise<T[]> {
  const found: T[] = [];
  for (let page = 1; found.length < most; page += 1) {
    const separator = path.includes('?') ? '&' : '?';
    const { body } = await callProvider(remote, credential, { method: 'GET', path: `${path}${separator}per_page=100&page=${page}` });
    const items = itemsOf(body);
    found.push(...items);
    if (items.length < 100) break;
  }
  return found;
}

function parsed(text: string): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What GitHub, GitLab and Bitbucket say in their own words; short, and never the token back. */
function said(body: unknown, credential: Credential | undefined): string {
  const { message, error } = (body ?? {}) as { message?: unknown; error?: { message?: unknown } | string };
  const nested = typeof error === 'object' ? error?.message : error;
  const text = typeof message === 'string' ? message : typeof nested === 'string' ? nested : undefined;
  if (!text) return '';
  const safe = credential ? text.replaceAll(credential.password, '***') : text;
  return `: ${safe.slice(0, 200)}`;
}
