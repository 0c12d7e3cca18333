/** POST to a subscriber's own server. No redirect is followed, and no address that only this machine's host should reach. */
import { lookup } from 'node:dns';
import http from 'node:http';
import https from 'node:https';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { rootCertificates } from 'node:tls';

const TIMEOUT_MS = 15_000;

/** Link-local: where clouds keep the credentials of their machines. Loopback and private networks are left open: that is where self-hosters live. */
const FORBIDDEN = new BlockList();
FORBIDDEN.addSubnet('169.254.0.0', 16, 'ipv4');
FORBIDDEN.addSubnet('fe80::', 10, 'ipv6');
FORBIDDEN.addAddress('fd00:ec2::254', 'ipv6');

export class EndpointError extends Error {
  override readonly name = 'EndpointError';
  /** Whether trying again may help. */
  readonly final: boolean;

  constructor(message: string, final: boolean) {
    super(message);
    this.final = final;
  }
}

/** Of a host as it stands in a URL. */
export function isForbiddenHost(host: string): boolean {
  return isForbiddenAddress(host.replace(/^\[|\]$/g, ''));
}

function isForbiddenAddress(address: string): boolean {
  const family = isIP(address);
  return family !== 0 && FORBIDDEN.check(address, family === 4 ? 'ipv4' : 'ipv6');
}

/** What a name stands for is looked at when it is connected to, so that it cannot stand for something else by then. */
const guardedLookup: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) return callback(error, []);
    const allowed = addresses.filter(({ address }) => !isForbiddenAddress(address));
    if (allowed.length === 0)
      return callback(new EndpointError(`${hostname} is a link-local address, which is not delivered to.`, true), []);
    if (options.all) return callback(null, allowed);
    callback(null, allowed[0]!.address, allowed[0]!.family);
  });
};

/** Resolves once the endpoint took it (2xx). Throws EndpointError: final for 3xx and 4xx, as SNS sees them, but 429. */
export function post(endpoint: string, headers: Record<string, string>, body: string, authority: string): Promise<void> {
  const url = new URL(endpoint);
  if (isForbiddenHost(url.hostname))
    return Promise.reject(new EndpointError(`${url.hostname} is a link-local address, which is not delivered to.`, true));
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
    request.on('error', (error) => reject(error instanceof EndpointError ? error : new EndpointError(error.message, false)));
    request.end(payload);
  });
}
