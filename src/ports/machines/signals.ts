import { constants } from 'node:os';

/** Signals that end no process by themselves; signal(7). */
const harmless = new Set(['SIGCHLD', 'SIGCONT', 'SIGURG', 'SIGWINCH', 'SIGSTOP', 'SIGTSTP', 'SIGTTIN', 'SIGTTOU']);
const names = new Map(
  Object.entries(constants.signals)
    .filter(([name]) => !harmless.has(name))
    .map(([name, number]) => [number, name]),
);

/**
 * Engines tell of a command that a signal ended only as shells do: by 128 and the signal's number. Whoever exits with such a status of his own
 * accord cannot be told from it.
 */
export function endOf(status: number): { exitCode: number | null; signal: string | null } {
  const signal = status > 128 ? names.get(status - 128) : undefined;
  return signal === undefined ? { exitCode: status, signal: null } : { exitCode: null, signal };
}
