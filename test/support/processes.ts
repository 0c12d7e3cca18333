/** What runs on this host. */
import { execFileSync } from 'node:child_process';

/** A busy host has command lines for more than the usual buffer. */
const MAX_BYTES = 64 * 1024 * 1024;

/** The command lines of all processes that match. */
export function commandLines(pattern: RegExp): string[] {
  return execFileSync('ps', ['-eo', 'args'], { maxBuffer: MAX_BYTES })
    .toString()
    .split('\n')
    .filter((line) => pattern.test(line));
}
