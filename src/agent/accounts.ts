import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { readIfPresent } from './files.ts';

const run = promisify(execFile);

/** The number of a user, by its name (looked up wherever the host keeps its users) or by the number itself. */
export async function userId(name: string): Promise<number> {
  return idOf(name, 'user', async () => (await run('id', ['-u', '--', name])).stdout);
}

/** The number of a user's main group. */
export async function mainGroupOf(user: string): Promise<number> {
  return idOf(user, 'user', async () => (await run('id', ['-g', '--', user])).stdout, { numbersStand: false });
}

/** The number of a group, by its name or by the number itself. */
export async function groupId(name: string): Promise<number> {
  return idOf(name, 'group', async () => {
    const local = (await readIfPresent('/etc/group'))?.split('\n').find((line) => line.startsWith(`${name}:`));
    return (local ?? (await run('getent', ['group', '--', name])).stdout).split(':')[2] ?? '';
  });
}

async function idOf(name: string, kind: string, lookUp: () => Promise<string>, { numbersStand = true } = {}): Promise<number> {
  if (numbersStand && /^\d+$/.test(name)) return Number(name);
  const found = await lookUp().catch(() => '');
  if (!/^\d+\s*$/.test(found)) throw new Error(`can't find ${kind} for ${name}`);
  return Number(found);
}
