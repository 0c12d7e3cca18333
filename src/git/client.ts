/** The git command as a user runs it, for tests: an empty home, a fixed author, no prompts. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface GitOutcome {
  code: number;
  stdout: string;
  stderr: string;
}

const author = {
  GIT_AUTHOR_NAME: 'Ada',
  GIT_AUTHOR_EMAIL: 'ada@example.com',
  GIT_COMMITTER_NAME: 'Ada',
  GIT_COMMITTER_EMAIL: 'ada@example.com',
};

/** Runs git in `cwd`; never throws for its exit status. */
export async function tryGit(cwd: string, args: string[], env: Record<string, string> = {}): Promise<GitOutcome> {
  const all = {
    PATH: process.env.PATH!,
    HOME: '/nonexistent',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    LC_ALL: 'C',
    GIT_CONFIG_COUNT: '1',
    GIT_CONFIG_KEY_0: 'init.defaultBranch',
    GIT_CONFIG_VALUE_0: 'main',
    ...author,
    ...env,
  };
  try {
    const { stdout, stderr } = await run('git', args, { cwd, env: all, maxBuffer: 64 * 1024 * 1024 });
    return { code: 0, stdout: stdout.trim(), stderr };
  } catch (error) {
    const failed = error as { code: number; stdout: string; stderr: string };
    return { code: failed.code, stdout: failed.stdout.trim(), stderr: failed.stderr };
  }
}

/** Runs git in `cwd` and gives what it printed; fails with its complaint. */
export async function git(cwd: string, args: string[], env: Record<string, string> = {}): Promise<string> {
  const { code, stdout, stderr } = await tryGit(cwd, args, env);
  if (code !== 0) throw new Error(`git ${args.join(' ')} ended with ${code}: ${stderr}`);
  return stdout;
}
