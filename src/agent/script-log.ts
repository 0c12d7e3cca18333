import { appendFile, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';

/** The characters of a script's output that go into the diagnostics. */
const TAIL_LENGTH = 2048;

/** The output of one lifecycle event: kept in the deployment's log and the agent's log of all deployments, its end also in memory. */
export interface ScriptLog {
  /** Adds one line, without its end. Lines are written in the order of the calls. */
  line(text: string): void;
  /** The end of everything added. */
  tail(): string;
  /** Waits until all lines are in the files. Throws if one could not be written. */
  flush(): Promise<void>;
}

/** Opens the log of an event. `deploymentsLog`: undefined where that log is switched off. */
export async function openScriptLog(scriptsLog: string, deploymentsLog: string | undefined, deploymentId: string): Promise<ScriptLog> {
  await mkdir(dirname(scriptsLog), { recursive: true });
  if (deploymentsLog !== undefined) await mkdir(dirname(deploymentsLog), { recursive: true });
  let tail = '';
  let pending: { scripts: string; deployments: string } | undefined;
  let writing: Promise<void> = Promise.resolve();

  const write = async () => {
    const { scripts, deployments } = pending!;
    pending = undefined;
    await appendFile(scriptsLog, scripts);
    if (deploymentsLog !== undefined) await appendFile(deploymentsLog, deployments);
  };

  return {
    line(text) {
      tail = `${tail}${text}\n`.slice(-TAIL_LENGTH);
      if (!pending) {
        pending = { scripts: '', deployments: '' };
        writing = writing.then(write);
        // Told by flush(); until then it must not count as unhandled.
        writing.catch(() => undefined);
      }
      const now = localTime(new Date());
      pending.scripts += `${now.seconds} ${text}\n`;
      pending.deployments += `[${now.milliseconds}] [${deploymentId}]${text}\n`;
    },
    tail: () => tail,
    flush: () => writing,
  };
}

/** `2026-11-22 18:07:01` in the host's time zone, and the same with milliseconds. */
function localTime(date: Date): { seconds: string; milliseconds: string } {
  const two = (value: number) => String(value).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const seconds = `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return { seconds, milliseconds: `${seconds}.${String(date.getMilliseconds()).padStart(3, '0')}` };
}
