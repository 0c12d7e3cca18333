/** POST to a subscriber's own server. No redirect is followed, and no address that only this machine's host should reach. */
import http from 'node:http';
import https from 'node:https';
import { rootCertificates } from 'node:tls';
import { ForbiddenAddressError, guardedLookup, isForbiddenHost } from '../../platform/guarded-lookup.ts';

const TIMEOUT_MS = 15_000;

export class EndpointError extends Error {
  override readonly name = 'EndpointError';
  /** Whether trying again may help. */
  readonly final: boolean;

  constructor(message: string, final: boolean) {
    super(message);
    this.final = final;
  }
}

/** Resolves once the endpoint took it (2xx). Throws EndpointError: final for 3xx and 4xx, as SNS sees them, but 429. */
export function post(endpoint: string, headers: Record<string, string>, body: string, authority: string): Promise<void> {
  const url = new URL(endpoint);
  if (isForbiddenHost(url.hostname)) return Promise.reject(new EndpointError(new ForbiddenAddressError(url.hostname).message, true));
  const secure = url.protocol === 'https:';
  const payload = Buffer.from(body);
  return new Promise((resolve, reject) => {
    const request = (secure ? https : http).request(
      url,
      {
        method: 'POST',
        lookup: guardedLookup,
        agent: false,
        signal: AbortSignal.timeout(TIMEOUT_MS),
        ...(secure && { ca: [...rootCertificates, authority] }),
        headers: {
          'content-type': 'text/plain; charset=UTF-8',
          'content-length': payload.length,
          'user-agent': 'Amazon Simple Notification Service Agent',
          ...headers,
        },
      },
      (response) => {
        const status = response.statusCode ?? 0;
        // Nobody reads what it says.
        response.destroy();
        if (status >= 200 && status < 300) return resolve();
        const final = status >= 300 && status < 500 && status !== 429;
        reject(new EndpointError(`the endpoint answered ${status}`, final));
      },
    );
    request.on('error', (error) => reject(new EndpointError(error.message, error instanceof ForbiddenAddressError)));
    request.end(payload);
  });
}
