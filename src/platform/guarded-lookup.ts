/** For requests that go where a user said: no address that only this machine's host should reach. */
import { lookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

/** Link-local: where clouds keep the credentials of their machines. Loopback and private networks are left open: that is where self-hosters live. */
const FORBIDDEN = new BlockList();
FORBIDDEN.addSubnet('169.254.0.0', 16, 'ipv4');
FORBIDDEN.addSubnet('fe80::', 10, 'ipv6');
FORBIDDEN.addAddress('fd00:ec2::254', 'ipv6');

export class ForbiddenAddressError extends Error {
  override readonly name = 'ForbiddenAddressError';

  constructor(host: string) {
    super(`${host} is a link-local address, which is not delivered to.`);
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

/**
 * The `lookup` of a request: fails with ForbiddenAddressError. What a name stands for is looked at when it is connected to, so that it cannot
 * stand for something else by then. A host that is an address is never looked up: ask `isForbiddenHost` first.
 */
export const guardedLookup: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) return callback(error, []);
    const allowed = addresses.filter(({ address }) => !isForbiddenAddress(address));
    if (allowed.length === 0) return callback(new ForbiddenAddressError(hostname), []);
    if (options.all) return callback(null, allowed);
    callback(null, allowed[0]!.address, allowed[0]!.family);
  });
};
