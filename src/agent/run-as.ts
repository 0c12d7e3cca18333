import { accessSync, constants } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { mainGroupOf, userId } from './accounts.ts';
import type { HookScript } from './appspec.ts';
import { EventFailure, Outcome } from './failure.ts';

/** A command line and, if the agent is to change the account itself, the account. */
export interface AccountSwitch {
  argv: string[];
  uid?: number;
  gid?: number;
}

/**
 * How to run a hook as the user that it asks for: `su USER -c SCRIPT` as the AWS agent does, before it `sudo` where the appspec says
 * so, or a plain change of account where root has no `su`. Without root and `sudo` only the agent's own user can be had.
 */
export async function commandFor(script: HookScript, path: string): Promise<AccountSwitch> {
  const { runas, sudo, location } = script;
  if (runas === undefined) return { argv: sudo ? ['sudo', path] : [path] };
  if (runas.startsWith('-')) throw new EventFailure(Outcome.UnknownError, location, `"${runas}" is not a user name.`);
  const su = ['su', runas, '-c', shellQuoted(path)];
  if (sudo) return { argv: ['sudo', ...su] };

  if (process.getuid?.() !== 0) {
    const { username } = userInfo();
    if (runas === username) return { argv: [path] };
    throw new EventFailure(
      Outcome.UnknownError,
      location,
      `Script at specified location: ${location} is to run as user ${runas}, but the agent runs as ${username} and only root can change users.`,
    );
  }
  if (onPath('su')) return { argv: su };
  return { argv: [path], uid: await userId(runas), gid: await mainGroupOf(runas) };
}

function onPath(program: string): boolean {
  return (process.env.PATH ?? '').split(':').some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function shellQuoted(path: string): string {
  return /^[A-Za-z0-9_/.:@%+=-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
