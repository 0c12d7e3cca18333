/** A working copy of the sample, which pushes to the demo's repository with a git credential of its own. */
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Penstock } from '../../compose.ts';
import { DEVELOPER, NAME } from './names.ts';
import { policy, unlessThere } from './resources.ts';

const run = promisify(execFile);
const SAMPLE = path.join(import.meta.dirname, '..', '..', '..', 'samples', NAME);

export class GitError extends Error {
  override readonly name = 'GitError';
}

export interface WorkingCopy {
  directory: string;
  cloneUrl: string;
  /** Pushes main; the commit's id. */
  push(): Promise<string>;
}

export async function makeWorkingCopy(penstock: Penstock): Promise<WorkingCopy> {
  const home = path.join(penstock.config.dataDir, 'demo');
  const directory = path.join(home, NAME);
  const cloneUrl = `${penstock.config.endpoints.http}/v1/repos/${NAME}`;
  const credentials = path.join(home, 'git-credentials');
  const git = async (...args: string[]): Promise<string> => {
    try {
      const { stdout } = await run('git', args, { cwd: directory, env: { ...process.env, GIT_TERMINAL_PROMPT: '0' } });
      return stdout.trim();
    } catch (error) {
      throw new GitError(`git ${args[0]} failed: ${(error as { stderr?: string }).stderr?.trim() || (error as Error).message}`);
    }
  };
  if (!existsSync(path.join(directory, '.git'))) {
    mkdirSync(directory, { recursive: true });
    cpSync(SAMPLE, directory, { recursive: true });
    await git('init', '--quiet', '--initial-branch=main');
    await git('config', 'user.name', DEVELOPER);
    await git('config', 'user.email', `${DEVELOPER}@localhost`);
    await git('config', 'commit.gpgsign', 'false');
    // The first empty value drops helpers of the host, which would keep this password for later.
    await git('config', '--add', 'credential.helper', '');
    await git('config', '--add', 'credential.helper', `store --file='${credentials}'`);
    await git('remote', 'add', 'origin', cloneUrl);
    await git('add', '.');
    await git('commit', '--quiet', '--message', 'Say hello');
  }
  await git('remote', 'set-url', 'origin', cloneUrl);
  await keepCredential(penstock, credentials, cloneUrl);
  return {
    directory,
    cloneUrl,
    async push() {
      await git('push', '--quiet', 'origin', 'HEAD:main');
      return git('rev-parse', 'HEAD');
    },
  };
}

/** A user who may push, with the static git credential that IAM gives out; in a file that only we can read, as git's own store keeps it. */
async function keepCredential({ clients, config }: Penstock, file: string, cloneUrl: string): Promise<void> {
  const UserName = DEVELOPER;
  const ServiceName = 'codecommit.amazonaws.com';
  await unlessThere(clients.iam.createUser({ UserName }));
  const Resource = `arn:aws:codecommit:${config.region}:${config.account}:${NAME}`;
  await clients.iam.putUserPolicy({
    UserName,
    PolicyName: 'push',
    PolicyDocument: policy([{ Effect: 'Allow', Action: ['codecommit:GitPull', 'codecommit:GitPush'], Resource }]),
  });
  const { ServiceSpecificCredentials: known = [] } = await clients.iam.listServiceSpecificCredentials({ UserName, ServiceName });
  // The password of an earlier one is not kept anywhere but in the file, whose server may have had another port.
  for (const { ServiceSpecificCredentialId } of known) {
    await clients.iam.deleteServiceSpecificCredential({ UserName, ServiceSpecificCredentialId });
  }
  const { ServiceSpecificCredential } = await clients.iam.createServiceSpecificCredential({ UserName, ServiceName });
  const url = new URL(cloneUrl);
  url.username = encodeURIComponent(ServiceSpecificCredential!.ServiceUserName!);
  url.password = encodeURIComponent(ServiceSpecificCredential!.ServicePassword!);
  url.pathname = '';
  writeFileSync(file, `${url.href.replace(/\/$/, '')}\n`, { mode: 0o600 });
}
