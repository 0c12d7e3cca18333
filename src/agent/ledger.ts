import { createHash } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { HostCommand } from './command-service.ts';
import { readIfPresent, writeDurably } from './files.ts';
import type { Layout } from './layout.ts';
import type { ProcessIdentity } from './processes.ts';

/** How a command ended, as it was or will be reported. */
export interface CommandResult {
  status: 'Succeeded' | 'Failed';
  diagnostics: string;
}

/**
 * The record of one command:
 * - accepted: being acknowledged; nothing of it has run;
 * - running: its work has begun, so it must never be begun again;
 * - finished: its result stands, though the server may not know it yet (`reported`).
 */
export interface CommandRecord {
  command: HostCommand;
  state: 'accepted' | 'running' | 'finished';
  deploymentId?: string;
  /** The running script's process, the leader of its group. */
  script?: ProcessIdentity;
  result?: CommandResult;
  reported?: boolean;
  updatedAt: string;
}

/** Reported commands that stay on record, so that one delivered again is answered and not run again. */
const REPORTED_TO_KEEP = 500;

/** The agent's durable record of the commands that it was given; what makes each run at most once. */
export interface Ledger {
  find(commandId: string): Promise<CommandRecord | undefined>;
  save(record: Omit<CommandRecord, 'updatedAt'>): Promise<void>;
  /** Commands whose end the server has not been told. */
  unreported(): Promise<CommandRecord[]>;
  prune(): Promise<void>;
}

/** Opens the record kept under the agent's own directory. */
export async function openLedger(layout: Layout): Promise<Ledger> {
  const directory = join(layout.ownDir, 'commands');
  await mkdir(directory, { recursive: true });
  const fileOf = (commandId: string) => join(directory, `${createHash('sha256').update(commandId).digest('hex')}.json`);
  const ongoingFile = (deploymentId: string) => join(layout.ongoingDir, deploymentId);

  const fileNames = async () => (await readdir(directory)).filter((name) => name.endsWith('.json') && !name.startsWith('.'));
  const all = async (): Promise<CommandRecord[]> => {
    const contents = await Promise.all((await fileNames()).map((name) => readIfPresent(join(directory, name))));
    return contents.filter((content) => content !== undefined).map((content) => JSON.parse(content));
  };

  return {
    async find(commandId) {
      const content = await readIfPresent(fileOf(commandId));
      return content === undefined ? undefined : JSON.parse(content);
    },

    async save(record) {
      const { HostCommandIdentifier: commandId } = record.command;
      await writeDurably(fileOf(commandId), JSON.stringify({ ...record, updatedAt: new Date().toISOString() }));
      // Beside the record, the file by which the AWS agent would know of the unfinished event.
      if (record.deploymentId === undefined) return;
      if (record.state === 'running') await writeDurably(ongoingFile(record.deploymentId), commandId);
      else await rm(ongoingFile(record.deploymentId), { force: true });
    },

    async unreported() {
      return (await all()).filter((record) => !record.reported);
    },

    async prune() {
      // Not at every command: reading them all is worth it once there are many to remove.
      if ((await fileNames()).length < 2 * REPORTED_TO_KEEP) return;
      const reported = (await all()).filter((record) => record.reported);
      reported.sort((a, b) => (a.updatedAt < b.updatedAt ? 1 : -1));
      await Promise.all(
        reported.slice(REPORTED_TO_KEEP).map((record) => rm(fileOf(record.command.HostCommandIdentifier), { force: true })),
      );
    },
  };
}
