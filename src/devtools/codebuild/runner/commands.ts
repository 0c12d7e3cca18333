/** The four phases that run users' commands: order, on-failure, finally, and the log lines that go with them. */
import { MachineLostError } from '../../../ports/machines/port.ts';
import { type Buildspec, PHASE_NAMES, type PhaseName } from '../buildspec/buildspec.ts';
import type { BuildLog } from './log.ts';
import { BuildFailure, BuildInterrupt, outcomeOf, type PhaseOutcome, type PhaseType, SUCCEEDED } from './outcome.ts';
import type { BuildShell, CommandResult } from './shell.ts';

/** The scripts of a buildspec by the names under which the shell runs them. */
export function commandFiles(spec: Buildspec): Map<string, string> {
  const files = new Map<string, string>();
  for (const name of PHASE_NAMES) {
    spec.phases[name]?.commands.forEach((text, index) => {
      files.set(commandName(name, 'commands', index), text);
    });
    spec.phases[name]?.finally.forEach((text, index) => {
      files.set(commandName(name, 'finally', index), text);
    });
  }
  return files;
}

function commandName(phase: PhaseName, list: 'commands' | 'finally', index: number): string {
  return `${phase}-${list}-${index}`;
}

export const PHASE_TYPE: Record<PhaseName, PhaseType> = {
  install: 'INSTALL',
  pre_build: 'PRE_BUILD',
  build: 'BUILD',
  post_build: 'POST_BUILD',
};

/** What shells tell of a program that SIGKILL ended. */
const KILLED = 137;

/** What comes after a phase that failed. */
export type AfterFailure = 'next' | 'finish';

/**
 * A failed install or pre_build ends the build; after a failed build comes post_build (CodeBuild user guide, "Build phase transitions"),
 * unless on-failure says ABORT; CONTINUE goes on in any case.
 */
export function afterFailure(spec: Buildspec, phase: PhaseName): AfterFailure {
  const action = spec.phases[phase]?.onFailure?.action;
  if (action === 'CONTINUE') return 'next';
  if (action === 'ABORT' || action === 'RETRY') return 'finish';
  return phase === 'build' || phase === 'post_build' ? 'next' : 'finish';
}

export interface CommandPhase {
  spec: Buildspec;
  phase: PhaseName;
  shell: BuildShell;
  log: BuildLog;
  signal: AbortSignal;
}

/** Runs one phase's commands, then its finally block whatever happened. Never throws. */
export async function runCommandPhase(run: CommandPhase): Promise<PhaseOutcome> {
  try {
    const first = await failureOf(() => runList(run, 'commands'));
    // An interrupted build runs nothing more, nor does one without a machine; a failed command's finally block does run.
    if (first instanceof BuildInterrupt || first instanceof MachineLostError) throw first;
    const second = await failureOf(() => runList(run, 'finally'));
    if (first ?? second) throw first ?? second;
    return SUCCEEDED;
  } catch (error) {
    return outcomeOf(error);
  }
}

async function failureOf(work: () => Promise<void>): Promise<unknown> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return error;
  }
}

async function runList(run: CommandPhase, list: 'commands' | 'finally'): Promise<void> {
  const phase = run.spec.phases[run.phase];
  const user = phase?.runAs ?? run.spec.runAs;
  for (const [index, text] of (phase?.[list] ?? []).entries()) {
    if (run.signal.aborted) throw run.signal.reason;
    run.log.agent(`Running command ${text}`);
    const result = await run.shell.run(commandName(run.phase, list, index), user);
    run.log.endCommand();
    if (run.signal.aborted) throw run.signal.reason;
    if (result.kind === 'exited' && result.status === 0) continue;
    const reason = reasonOf(result);
    run.log.agent(`Command did not exit successfully ${text} ${reason}`);
    if (result.kind === 'exited' && result.status === KILLED) run.log.agent('A process of it was killed, most often for want of memory');
    throw new BuildFailure('COMMAND_EXECUTION_ERROR', `Error while executing command: ${text}. Reason: ${reason}`);
  }
}

function reasonOf(result: CommandResult): string {
  if (result.kind === 'exited') return `exit status ${result.status}`;
  return result.oomKilled ? `${result.reason} (out of memory)` : result.reason;
}
