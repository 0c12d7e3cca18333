import { closeSync, mkdirSync, openSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { HolderPlan } from './holder.ts';

const devices = ['null', 'zero', 'full', 'random', 'urandom', 'tty'];

/**
 * The same sandbox as bubblewrap's from util-linux alone, which every distribution has.
 *
 * One `mount --all` with a table of its own makes all mounts, since a process per mount would cost 1 ms each.
 */
export function unshareCommand(program: string, plan: HolderPlan): string[] {
  makeDevices(plan.layout.root);
  const table = join(plan.directory, 'fstab');
  writeFileSync(table, mountTable(plan), { mode: 0o600 });
  return [
    program,
    ...['--mount', '--pid', '--ipc', '--uts', '--fork'],
    ...(plan.network === 'none' ? ['--net'] : []),
    ...(plan.mapInside ? [] : ['--user', '--map-root-user']),
    ...['--', '/bin/sh', '-c', script, 'sh', plan.layout.root, table, plan.layout.hostname, plan.network, ...plan.hold],
  ];
}

/**
 * Runs as process 1 of the new namespaces. /proc is still the host's at first, so it tells this process's pid out there.
 * A mount point is needed to pivot to, hence the root is bound to itself.
 */
const script = `set -e
read -r pid rest </proc/self/stat
echo "$pid" >&4
exec 4>&-
root=$1 table=$2 name=$3 network=$4
shift 4
hostname "$name" 2>/dev/null || echo "$name" >/proc/sys/kernel/hostname 2>/dev/null || :
if [ "$network" = none ]; then ip link set lo up 2>/dev/null || :; fi
mount --rbind "$root" "$root"
mount --all --fstab "$table"
cd "$root"
mkdir -p .host
pivot_root . .host
cd /
umount -l /.host
rmdir /.host
exec "$@"`;

function mountTable({ layout }: HolderPlan): string {
  const { root } = layout;
  const lines = [
    ...layout.shown.map((path) => [path, join(root, path), 'none', 'rbind,ro,nosuid,nodev']),
    ['proc', join(root, 'proc'), 'proc', 'nosuid,nodev,noexec'],
    ...devices.map((name) => [`/dev/${name}`, join(root, 'dev', name), 'none', 'bind,nosuid']),
    ['devpts', join(root, 'dev/pts'), 'devpts', 'newinstance,ptmxmode=0666,mode=0620,nosuid,noexec'],
    ['tmpfs', join(root, 'dev/shm'), 'tmpfs', 'mode=1777,nosuid,nodev'],
    ...layout.files.map(({ source, target }) => [source, join(root, target), 'none', 'bind,ro']),
    ...layout.hidden.map((path) => ['tmpfs', join(root, path), 'tmpfs', 'mode=0700']),
    ...layout.mounts.map(({ source, target, readOnly }) => [source, join(root, target), 'none', readOnly ? 'rbind,ro' : 'rbind']),
  ];
  return `${lines.map((fields) => [...fields.map(escapeField), '0 0'].join(' ')).join('\n')}\n`;
}

/** fstab(5): spaces, tabs, newlines and backslashes as octal numbers. */
function escapeField(field: string): string {
  return field.replaceAll(/[\\\s#]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`);
}

/** Idempotent: a machine whose holder died is held anew in the same root. Only what is missing is made; see layout.ts for who owns it. */
function makeDevices(root: string): void {
  const dev = join(root, 'dev');
  for (const name of ['pts', 'shm']) mkdirSync(join(dev, name), { recursive: true });
  for (const name of devices) closeSync(openSync(join(dev, name), 'a'));
  for (const [name, target] of Object.entries({ fd: '/proc/self/fd', stdin: 'fd/0', stdout: 'fd/1', stderr: 'fd/2', ptmx: 'pts/ptmx' })) {
    try {
      symlinkSync(target, join(dev, name));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}
