/** IP addresses and ranges of `IpAddress` conditions. */
import { isIP } from 'node:net';

/** 4 or 16 bytes; IPv4 mapped into IPv6 (`::ffff:10.0.0.1`) as IPv4. Undefined when it is no address. */
export function parseAddress(text: string): Uint8Array | undefined {
  const kind = isIP(text);
  if (kind === 4) return Uint8Array.from(text.split('.').map(Number));
  return kind === 6 ? parseV6(text.replace(/%.*$/, '')) : undefined;
}

function parseV6(text: string): Uint8Array {
  const dotted = /(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  if (dotted) {
    const [, a, b, c, d] = dotted.map(Number) as [number, number, number, number, number];
    text = `${text.slice(0, dotted.index)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  }
  const [head = '', tail] = text.split('::');
  const groups = (part: string | undefined): number[] => (part ? part.split(':').map((group) => Number.parseInt(group, 16)) : []);
  const before = groups(head);
  const after = groups(tail);
  const all = [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
  const bytes = Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff]));
  const mapped = bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
  return mapped ? bytes.slice(12) : bytes;
}

export interface AddressRange {
  base: Uint8Array;
  bits: number;
}

/** `10.0.0.0/8`, `2001:db8::/32`, or one address. */
export function parseRange(text: string): AddressRange | undefined {
  const [address = '', prefix, extra] = text.split('/');
  const base = parseAddress(address);
  if (!base || extra !== undefined) return undefined;
  const bits = prefix === undefined ? base.length * 8 : /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1;
  return bits < 0 || bits > base.length * 8 ? undefined : { base, bits };
}

export function inRange(address: Uint8Array, { base, bits }: AddressRange): boolean {
  if (address.length !== base.length) return false;
  const whole = bits >> 3;
  for (let index = 0; index < whole; index++) if (address[index] !== base[index]) return false;
  const rest = bits & 7;
  return rest === 0 || (address[whole]! ^ base[whole]!) >> (8 - rest) === 0;
}
