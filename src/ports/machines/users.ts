import { readFileSync } from 'node:fs';

/**
 * Who a sandbox's processes are on the host.
 *
 * Inside, commands expect to be root. Started as root, the server gives each sandbox a user namespace in which the ids 0 to 65535 are
 * the host's ids from `firstHostId` on: no user of the host, so that an escaped process owns nothing, and enough of them for `su` and for
 * commands run as `nobody`. All sandboxes share the range: caches are handed from one to the next, and it is the other namespaces
 * that keep them apart. Started as an ordinary user, the kernel lets only that one user be mapped; it becomes root inside.
 */
export interface IdMapping {
  /** The host's id of the user and group that is 0 inside. */
  root: number;
  count: number;
}

/** In the part of the id space that systemd's table of ids (UIDS-GIDS.md) leaves unused, far from subordinate ranges of /etc/subuid. */
const firstHostId = 1_900_000_000;
const rangeSize = 65_536;

export function mappingFor(serverUid: number): IdMapping {
  return serverUid === 0 ? { root: firstHostId, count: rangeSize } : { root: serverUid, count: 1 };
}

/** The line for /proc/PID/uid_map and gid_map: inside, outside, count; user_namespaces(7). */
export function mapLine(mapping: IdMapping): string {
  return `0 ${mapping.root} ${mapping.count}\n`;
}

export interface User {
  name: string;
  uid: number;
  gid: number;
  home: string;
}

/** A user of /etc/passwd, which is the same file inside a sandbox as outside; undefined if there is none of that name. */
export function findUser(name: string, passwd = readFileSync('/etc/passwd', 'utf8')): User | undefined {
  const line = passwd.split('\n').find((one) => one.startsWith(`${name}:`));
  const [, , uid, gid, , home] = line?.split(':') ?? [];
  return line ? { name, uid: Number(uid), gid: Number(gid), home: home || '/' } : undefined;
}
