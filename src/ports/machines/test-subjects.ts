import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findControlGroups } from './cgroups.ts';
import { Bench, type Subject, shell } from './contract-bench.ts';
import { createDummyMachines } from './dummy.ts';
import { machinesTag } from './local-driver.ts';
import type { Capabilities } from './port.ts';
import { scan } from './proc.ts';
import { createProcessMachines } from './process.ts';
import { createSandboxMachines } from './sandbox.ts';

/** The drivers that need no service, for tests. */
export const realSubjects: Subject[] = [
  { name: 'process', open: (dataDir) => createProcessMachines({ dataDir }), ...shell },
  { name: 'sandbox by bubblewrap', open: (dataDir) => createSandboxMachines({ dataDir, builder: 'bubblewrap' }), ...shell },
  { name: 'sandbox by unshare', open: (dataDir) => createSandboxMachines({ dataDir, builder: 'unshare' }), ...shell },
];

export const subjects: Subject[] = [
  {
    name: 'dummy',
    open: (_, registry) => createDummyMachines({ registry }),
    say: (text) => ({ argv: ['say'], env: { OUTPUT: text } }),
    exit: (code) => ({ argv: ['exit'], env: { EXIT: String(code) } }),
    sleep: () => ({ argv: ['sleep'], env: { SLEEP: '1000000', OUTPUT: 'ready' } }),
    stubborn: () => ({ argv: ['sleep'], env: { SLEEP: '1000000', OUTPUT: 'ready', IGNORE_TERM: '1' } }),
    missing: () => ({ argv: ['missing'], env: { START_FAIL: '1' } }),
  },
  ...realSubjects,
];

/**
 * Why a subject cannot be tested here, or false: to be given to a test's `skip`.
 * @throws when the probe finds that it does not work although the host allows all that it needs: that is not a reason to skip.
 */
export async function whyNot(subject: Subject): Promise<string | false> {
  await using bench = new Bench(subject);
  const { available, notes } = await bench.driver.probe();
  if (available) return false;
  if (hostAllows(subject)) throw new Error(`${subject.name} should work here: ${notes.join('; ')}`);
  return notes.join('; ');
}

/** What can be limited here: there is nothing to test about the others. */
export async function limitsOf(subject: Subject): Promise<Capabilities['limits']> {
  await using bench = new Bench(subject);
  return (await bench.driver.probe()).limits;
}

function hostAllows(subject: Subject): boolean {
  if (!subject.name.startsWith('sandbox')) return true;
  const trial = ['--user', '--map-root-user', '--mount', '--pid', '--fork', 'mount', '-t', 'proc', 'proc', '/proc'];
  const works = spawnSync('unshare', trial, { stdio: 'ignore' }).status === 0;
  return works && (subject.name.endsWith('unshare') || spawnSync('bwrap', ['--version'], { stdio: 'ignore' }).status === 0);
}

/** Everything on the host that still belongs to machines of a data directory. */
export async function leftovers(
  dataDir: string,
): Promise<{ directories: string[]; processes: string[]; groups: string[]; mounts: string[] }> {
  const kinds = ['process', 'sandbox'].map((kind) => join(dataDir, 'machines', kind));
  const tags = kinds.map(machinesTag);
  const groups = await findControlGroups(`penstock-test-${process.pid}`);
  return {
    directories: kinds.flatMap((kind) => readDirectory(kind)),
    processes: scan()
      .filter(({ mark }) => tags.some((tag) => mark?.startsWith(tag)))
      .map(({ mark }) => mark!),
    groups: tags.flatMap((tag) => groups?.list(`penstock-${tag}`) ?? []),
    mounts: readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => line.includes(dataDir)),
  };
}

export const nothing = { directories: [], processes: [], groups: [], mounts: [] };

function readDirectory(path: string): string[] {
  try {
    return readdirSync(path).filter((name) => !name.startsWith('.pipes-'));
  } catch {
    return [];
  }
}
