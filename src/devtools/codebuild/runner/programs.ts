/**
 * The programs that AWS's build images have beside the tools: `codebuild-hash-files`, `codebuild-tests-run` and others. They are plain shell scripts in
 * `programs/`, so that they run in whatever has a shell, and the last folder of each build's PATH has them.
 */
import { readdirSync, readFileSync } from 'node:fs';

const folder = new URL('./programs/', import.meta.url);
let read: Record<string, string> | undefined;

/** Name → script. */
export function buildPrograms(): Record<string, string> {
  read ??= Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(new URL(name, folder), 'utf8')]));
  return read;
}
