import { posix } from 'node:path';
import type { ExecSpec } from '../port.ts';
import { markName } from '../proc.ts';
import { Report } from '../report.ts';
import { stageScript } from '../stage.ts';

/** How a container's shell becomes a command: what the exec is created with. */
export interface Entry {
  argv: string[];
  env: Record<string, string>;
}

/** UTF-16 units in one variable: at most 96 KiB of UTF-8, well below what Linux lets a variable have (128 KiB). */
const piece = 32 * 1024;

/**
 * The stage goes in by variables, which only root of the engine's host can read, and not by arguments, which everybody there can. The
 * variables of the command are in it and not beside it: an LD_PRELOAD among them would be the shell's too.
 */
export function entryOf(command: ExecSpec, env: Record<string, string>, workdir: string, token: string, mark: string): Entry {
  const script = stageScript(
    { argv: command.argv, cwd: posix.resolve(workdir, command.cwd ?? '.'), env, hasInput: command.stdin !== undefined },
    { report: (text) => Report.command(token, text), redirect: () => '', unset: ['_s'] },
  );
  const pieces = cut(script).map((text, index) => [`_STAGE${index}`, text] as const);
  const names = pieces.map(([name]) => name);
  const bootstrap = `_s=${names.map((name) => `$${name}`).join('')}; unset ${names.join(' ')}; eval "$_s"`;
  // The mark once more as an argument: of a running exec the engine tells these.
  return { argv: ['/bin/sh', '-c', bootstrap, 'sh', mark], env: { ...Object.fromEntries(pieces), [markName]: mark } };
}

function cut(text: string): string[] {
  const pieces: string[] = [];
  for (let at = 0; at < text.length; ) {
    const whole = /[\uD800-\uDBFF]/.test(text[at + piece - 1] ?? '') ? piece - 1 : piece;
    pieces.push(text.slice(at, at + whole));
    at += whole;
  }
  return pieces;
}
