/** A shell of a user in a sandbox's machine, on a terminal of its own where the machine has `script`, else on pipes. */
import { PassThrough } from 'node:stream';
import type { Machine } from '../../../../ports/machines/port.ts';
import { packFiles } from '../../runner/files.ts';
import { type Surroundings, toolDirectory, USUAL_PATH } from '../run-command.ts';

const GRACE_MS = 1_000;
/** bytes */
const MAX_AHEAD = 4 * 1024 * 1024;

/** `sh -c START sh DIR FILE`: FILE gets the terminal's name, by which its size can be set from outside. */
const START = `PATH=\${PATH:-${USUAL_PATH}}:$1/bin PENSTOCK_TTY=$2
SHELL=$(command -v bash || command -v sh)
export PATH PENSTOCK_TTY SHELL
if command -v script >/dev/null 2>&1; then
  exec script -qf -c 'tty >"$PENSTOCK_TTY"; unset PENSTOCK_TTY; exec "$SHELL" -i' /dev/null
fi
unset PENSTOCK_TTY
echo 'This machine has no script(1), so this shell has no terminal.'
exec "$SHELL" -i 2>&1`;

/** `sh -c RESIZE sh FILE COLUMNS ROWS`. The shell may be about to begin. */
const RESIZE = `for try in 1 2 3 4 5 6 7 8 9 10; do
  [ -s "$1" ] && exec stty -F "$(cat "$1")" cols "$2" rows "$3"
  sleep 0.1
done`;

export class SessionShell {
  readonly #machine: Machine;
  readonly #stdin = new PassThrough();
  readonly #stop = new AbortController();
  readonly #terminal: string;
  #size = '';
  #resizing: Promise<unknown> = Promise.resolve();
  /** Why it ended, when that was not of its own. Never fails. */
  readonly over: Promise<string>;

  constructor(around: Surroundings, sessionId: string, onOutput: (data: Buffer) => Promise<void>) {
    this.#machine = around.machine;
    const tools = toolDirectory(around.machine);
    this.#terminal = `${tools}/sessions/${sessionId}`;
    this.#stdin.on('error', () => {});
    this.over = around.machine
      .put(`${tools}/sessions`, packFiles({}))
      .then(() =>
        around.machine.exec({
          argv: ['sh', '-c', START, 'sh', tools, this.#terminal],
          cwd: around.directory,
          env: { ...around.env, TERM: 'xterm-256color' },
          stdin: this.#stdin,
          onOutput,
          signal: AbortSignal.any([around.signal, this.#stop.signal]),
          graceMs: GRACE_MS,
        }),
      )
      .then(
        () => (around.signal.aborted ? 'The sandbox was stopped.' : ''),
        (error: Error) => {
          around.platform.log.warn({ error: error.message, sandbox: around.sandbox.id }, 'a session of a sandbox failed');
          return 'The shell could not be run.';
        },
      );
  }

  /** Nobody types that much ahead of a shell that does not read: such a session ends. */
  input(data: Buffer): void {
    if (this.#stdin.writableLength > MAX_AHEAD) this.end();
    else if (!this.#stdin.destroyed) this.#stdin.write(data);
  }

  /** The client tells the size again and again; only a new one matters. */
  resize(columns: number, rows: number): void {
    const size = `${columns} ${rows}`;
    if (size === this.#size) return;
    this.#size = size;
    const argv = ['sh', '-c', RESIZE, 'sh', this.#terminal, String(columns), String(rows)];
    this.#resizing = this.#resizing.then(() => this.#machine.exec({ argv, signal: this.#stop.signal })).catch(() => {});
  }

  end(): void {
    this.#stop.abort();
    this.#stdin.destroy();
  }
}
