/** OpenSSH against a test server: a user's key in a file, and what `git` and `ssh` need to know of it. */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import type { IAM } from '@aws-sdk/client-iam';
import type { TestServer } from './server.ts';

const run = promisify(execFile);

export interface SshKey {
  /** `APKA…`; empty until it is uploaded. */
  id: string;
  file: string;
  publicKey: string;
}

let made = 0;

export async function newSshKey(home: string, ...options: string[]): Promise<SshKey> {
  const file = path.join(home, `ssh-key-${made++}`);
  await run('ssh-keygen', ['-q', '-N', '', '-C', 'ada@example.com', '-f', file, ...(options.length > 0 ? options : ['-t', 'ed25519'])]);
  return { id: '', file, publicKey: (await readFile(`${file}.pub`, 'utf8')).trim() };
}

/** A new key of that user, who must exist. */
export async function sshKeyOf(iam: IAM, UserName: string, home: string, ...options: string[]): Promise<SshKey> {
  const key = await newSshKey(home, ...options);
  const { SSHPublicKey } = await iam.uploadSSHPublicKey({ UserName, SSHPublicKeyBody: key.publicKey });
  return { ...key, id: SSHPublicKey!.SSHPublicKeyId! };
}

/** Arguments of `ssh` that let nothing of this host's settings in; the server's host keys are required. */
export async function sshOptions(server: TestServer, home: string, key: SshKey): Promise<string[]> {
  const { port } = new URL(server.sshEndpoint.replace('ssh:', 'http:'));
  const knownHosts = path.join(home, 'known_hosts');
  await writeFile(knownHosts, server.sshHostKeys.map((hostKey) => `[127.0.0.1]:${port} ${hostKey}\n`).join(''));
  const options = ['IdentitiesOnly=yes', 'BatchMode=yes', 'StrictHostKeyChecking=yes', `UserKnownHostsFile=${knownHosts}`];
  return ['-F', '/dev/null', '-p', port, '-i', key.file, ...options.flatMap((option) => ['-o', option])];
}

/** For git's environment: every `ssh://` address is asked as this key's user. */
export async function withSshKey(server: TestServer, home: string, key: SshKey): Promise<Record<string, string>> {
  const words = ['ssh', ...(await sshOptions(server, home, key)), '-l', key.id];
  return { GIT_SSH_COMMAND: words.join(' '), GIT_SSH_VARIANT: 'ssh' };
}
