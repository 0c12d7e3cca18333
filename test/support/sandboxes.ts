/** Sandboxes for tests: started, waited for, and all stopped at the end. */
import { setTimeout as delay } from 'node:timers/promises';
import type { CommandExecution, Sandbox } from '@aws-sdk/client-codebuild';
import { type BuildBench, commands } from './codebuild.ts';

export interface SandboxBench {
  /** One of this project, which is made (without sources) unless it is there; ready for commands. */
  start(projectName: string): Promise<string>;
  /** Stops it with the others. */
  add(id: string): void;
  wait(id: string, until: (sandbox: Sandbox) => boolean): Promise<Sandbox>;
  /** Runs a command to its end. */
  run(sandboxId: string, command: string): Promise<CommandExecution>;
  waitCommand(sandboxId: string, id: string, until?: (command: CommandExecution) => boolean): Promise<CommandExecution>;
  /** Each until it is over: their machines are gone then. */
  stopAll(): Promise<void>;
}

export function sandboxBench({ codebuild, project }: BuildBench): SandboxBench {
  const started = new Set<string>();
  const made = new Set<string>();
  const bench: SandboxBench = {
    async start(projectName) {
      if (!made.has(projectName)) {
        const { projectsNotFound } = await codebuild.batchGetProjects({ names: [projectName] });
        if (projectsNotFound!.length > 0) await project(projectName, commands('true'));
        made.add(projectName);
      }
      const { sandbox } = await codebuild.startSandbox({ projectName });
      bench.add(sandbox!.id!);
      await bench.wait(sandbox!.id!, ({ status }) => status === 'RUN_SANDBOX');
      return sandbox!.id!;
    },
    add: (id) => void started.add(id),
    async wait(id, until) {
      for (let pause = 10; ; pause = Math.min(pause * 1.5, 200)) {
        const { sandboxes } = await codebuild.batchGetSandboxes({ ids: [id] });
        if (sandboxes?.[0] && until(sandboxes[0])) return sandboxes[0];
        await delay(pause);
      }
    },
    async run(sandboxId, command) {
      const { commandExecution } = await codebuild.startCommandExecution({ sandboxId, command, type: 'SHELL' });
      return bench.waitCommand(sandboxId, commandExecution!.id!);
    },
    async waitCommand(sandboxId, id, until = ({ endTime }) => endTime !== undefined) {
      for (let pause = 10; ; pause = Math.min(pause * 1.5, 200)) {
        const { commandExecutions } = await codebuild.batchGetCommandExecutions({ sandboxId, commandExecutionIds: [id] });
        if (commandExecutions?.[0] && until(commandExecutions[0])) return commandExecutions[0];
        await delay(pause);
      }
    },
    async stopAll() {
      for (const id of started) await codebuild.stopSandbox({ id });
      for (const id of started) await bench.wait(id, ({ endTime }) => endTime !== undefined);
      started.clear();
    },
  };
  return bench;
}
