/** The unmodified AWS CLI, versions 1 and 2, as far as they are installed. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { TestServer } from './server.ts';

export interface AwsCli {
  version: 1 | 2;
  /** The Python that it runs on. */
  interpreter: string;
}

export interface CliAnswer {
  status: number;
  output: string;
  error: string;
}

/** Of each version the first that is found, in the path and where Debian installs it. */
export function installedClis(): AwsCli[] {
  const found = new Map<number, AwsCli>();
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/bin'];
  for (const program of folders.map((folder) => path.join(folder, 'aws'))) {
    const said = spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout?.match(/^aws-cli\/([12])\./);
    const interpreter = said && pythonOf(program);
    const version = Number(said?.[1]) as 1 | 2;
    if (interpreter && !found.has(version)) found.set(version, { version, interpreter });
  }
  return [...found.values()];
}

/** The one that its first line names; of a shim, which names a shell, the one beside it. */
function pythonOf(program: string): string | undefined {
  const named = /^#!(\S*python\S*)\n/.exec(readFileSync(program, 'latin1').slice(0, 200))?.[1];
  const python = named ?? path.join(path.dirname(program), 'python3');
  return spawnSync(python, ['-c', 'import awscli.clidriver']).status === 0 ? python : undefined;
}

/** One CLI that answers command after command, against a server. To be closed. */
export function openCli(
  { interpreter }: AwsCli,
  server: TestServer,
  env: Record<string, string> = {},
): { run(args: string[]): Promise<CliAnswer>; close(): Promise<void> } {
  const child = spawn(interpreter, [path.join(import.meta.dirname, 'aws_cli_session.py')], {
    env: { ...server.env, AWS_PAGER: '', AWS_DEFAULT_OUTPUT: 'json', PYTHONDONTWRITEBYTECODE: '1', ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  return {
    async run(args) {
      // An endpoint in the environment is not known to the versions 2 that Debian has.
      child.stdin.write(`${JSON.stringify(['--endpoint-url', server.endpoint, ...args])}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error(`The AWS CLI ended while it ran: aws ${args.join(' ')}`);
      return JSON.parse(value) as CliAnswer;
    },
    async close() {
      const ended = once(child, 'exit');
      child.stdin.end();
      await ended;
    },
  };
}
