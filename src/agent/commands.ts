import type { Logger } from 'pino';
import type { CommandService, HostCommand } from './command-service.ts';
import { type DeploymentSpec, parseDeploymentSpec } from './deployment-spec.ts';
import { openEnvelope, type SignerTrust } from './envelope.ts';
import { carryOutEvent, type EventContext, isNoop } from './events.ts';
import { diagnostics, EventFailure, messageOf, Outcome } from './failure.ts';
import type { CommandRecord, CommandResult, Ledger } from './ledger.ts';
import { killLeftovers } from './processes.ts';
import { isFinal, persistently } from './retry.ts';

/** What commands are processed with. */
export interface CommandContext extends Omit<EventContext, 'onScriptStart'> {
  service: CommandService;
  trust: SignerTrust;
  ledger: Ledger;
  log: Logger;
}

/** A specification that cannot be had for so long, in milliseconds, fails the command. */
const PATIENCE_MS = 600_000;
/** Acceptance and result are worth telling for as long as a deployment may run. */
const REPORT_PATIENCE_MS = 8 * 3_600_000;

/**
 * Processes one command from its specification to its reported result. A command runs at most once: what is on record as finished is
 * only reported again. Never throws; what goes wrong is the command's result.
 */
export async function processCommand(command: HostCommand, context: CommandContext): Promise<void> {
  const { ledger, log } = context;
  const { HostCommandIdentifier: commandId, CommandName: event } = command;
  try {
    const known = await ledger.find(commandId);
    if (known?.state === 'finished') {
      log.info({ commandId, event }, 'The command was delivered again; its result is reported again.');
      return await report(known, context);
    }
    await run(command, context);
  } catch (error) {
    log.error({ commandId, event, err: error }, 'The command could not be processed.');
  }
}

/**
 * Settles what an earlier run of the agent left behind: a command that was running has failed and what is left of its scripts is
 * killed; one that was only accepted is begun anew; a result that was not told is told. Answers once the first kind is on record.
 */
export async function recover(context: CommandContext): Promise<{ done: Promise<void> }> {
  const { ledger, log } = context;
  const tasks: Promise<void>[] = [];
  for (const record of await ledger.unreported()) {
    const { command, deploymentId, script } = record;
    if (record.state === 'accepted') {
      tasks.push(processCommand(command, context));
      continue;
    }
    if (record.state === 'running') {
      log.warn(
        { commandId: command.HostCommandIdentifier, event: command.CommandName },
        'The agent ended while this command ran; it has failed.',
      );
      if (script && deploymentId !== undefined) killLeftovers(script, deploymentId);
      record.state = 'finished';
      record.result = {
        status: 'Failed',
        diagnostics: diagnostics(Outcome.FailedAfterRestart, '', 'Failed: Failing in-progress lifecycle event after an agent restart.', ''),
      };
      await ledger.save(record);
    }
    tasks.push(report(record, context).catch((error) => log.error({ err: error }, 'A result could not be reported.')));
  }
  return { done: Promise.all(tasks).then(() => undefined) };
}

async function run(command: HostCommand, context: CommandContext): Promise<void> {
  const { ledger, log, service, signal } = context;
  const { CommandName: event, HostCommandIdentifier: commandId } = command;
  let spec: DeploymentSpec;
  let noop: boolean;
  try {
    const envelope = await persistently(() => service.getSpecification(command), { forMs: PATIENCE_MS, signal });
    spec = parseDeploymentSpec(await openEnvelope(envelope, context.trust));
    noop = await isNoop(event, spec, { ...context, onScriptStart: async () => undefined });
  } catch (error) {
    if (signal.aborted) return; // Nothing has begun: the server will deliver it to the next run.
    log.error({ commandId, event, err: error }, 'The specification of the command cannot be used.');
    return conclude({ command, state: 'accepted', updatedAt: '' }, failure(error), context);
  }

  const record: CommandRecord = { command, state: 'accepted', deploymentId: spec.deploymentId, updatedAt: '' };
  await ledger.save(record);
  const status = await persistently(() => service.acknowledge(command, noop), { forMs: REPORT_PATIENCE_MS, signal });
  if (status === 'Succeeded' || status === 'Failed') {
    // Over already at the server. That a failed one had nothing to do is still news to it.
    if (status === 'Failed' && noop) return conclude(record, success('CompletedNoopCommand', ''), context);
    return ledger.save({ ...record, state: 'finished', reported: true });
  }

  record.state = 'running';
  await ledger.save(record);
  log.info({ commandId, event, deploymentId: spec.deploymentId, noop }, 'The command begins.');
  const onScriptStart: EventContext['onScriptStart'] = async (process) => {
    record.script = process;
    await ledger.save(record);
  };
  const result = await carryOutEvent(event, spec, { ...context, onScriptStart }).then((tail) => success('', tail), failure);
  log.info({ commandId, event, deploymentId: spec.deploymentId, ...result }, 'The command has ended.');
  await conclude(record, result, context);
}

async function conclude(record: CommandRecord, result: CommandResult, context: CommandContext): Promise<void> {
  const finished: CommandRecord = { ...record, state: 'finished', result };
  await context.ledger.save(finished);
  await report(finished, context);
}

/** Tells the server how a command ended, and puts on record that it knows. */
async function report(record: CommandRecord, { ledger, service, log, signal }: CommandContext): Promise<void> {
  const { result, command } = record;
  if (result) {
    try {
      await persistently(() => service.complete(command.HostCommandIdentifier, result.status, result.diagnostics), {
        forMs: REPORT_PATIENCE_MS,
        signal,
      });
    } catch (error) {
      if (!isFinal(error)) throw error;
      log.warn({ commandId: command.HostCommandIdentifier, err: error }, 'The server does not take the result of the command.');
    }
  }
  await ledger.save({ ...record, reported: true });
  await ledger.prune();
}

function success(message: string, log: string): CommandResult {
  return { status: 'Succeeded', diagnostics: diagnostics(Outcome.Success, '', `Succeeded: ${message}`, log) };
}

function failure(error: unknown): CommandResult {
  const { code, script, log } = error instanceof EventFailure ? error : { code: Outcome.UnknownError, script: '', log: '' };
  return { status: 'Failed', diagnostics: diagnostics(code, script, messageOf(error), log) };
}
