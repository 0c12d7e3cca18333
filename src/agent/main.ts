import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { destination, type Logger, pino } from 'pino';
import { connectCommandService } from './command-service.ts';
import { type CommandContext, processCommand, recover } from './commands.ts';
import { type AgentConfig, loadConfig } from './config.ts';
import { loadIdentity } from './credentials.ts';
import { trustIn } from './envelope.ts';
import { messageOf } from './failure.ts';
import { openTransport } from './http.ts';
import { layoutOf } from './layout.ts';
import { openLedger } from './ledger.ts';
import { lockDirectory } from './lock.ts';
import { pauseAfter } from './retry.ts';

/** What commands cut off at the end of the patience get to kill their scripts and tell the server, in milliseconds. */
const LAST_WORDS_MS = 10_000;

export interface AgentOptions {
  /** A configuration in the form of `codedeployagent.yml`; see config.ts. */
  configFile: string;
  /** Overrides the configuration's `root`. */
  root?: string;
  /** Stops the agent: no new command is taken, and running ones may finish. */
  signal: AbortSignal;
}

/**
 * Runs the host agent until the signal aborts: waits at the command service for this host's commands and carries them out. Answers once
 * running commands have finished, or `kill_agent_max_wait_time_seconds` after the signal. Throws if the configuration cannot be used or
 * another agent has the same `root_dir`.
 */
export async function runAgent({ configFile, root, signal }: AgentOptions): Promise<void> {
  const config = await loadConfig(configFile, root === undefined ? {} : { root });
  const identity = await loadIdentity(config.onPremisesConfigFile);
  const trust = trustIn(await readFile(config.signerCaFile, 'utf8'));
  const ca = config.caFile === undefined ? undefined : await readFile(config.caFile, 'utf8');
  const layout = layoutOf(config.rootDir);
  const unlock = await lockDirectory(layout.ownDir);
  try {
    if (config.root !== undefined) await mkdir(config.root, { recursive: true });
    const { log, close } = await openLog(config);
    const transport = openTransport(config, identity, ca);
    const giveUp = new AbortController();
    const context: CommandContext = {
      config,
      layout,
      region: identity.region,
      transport,
      service: connectCommandService(config, identity, transport),
      trust,
      ledger: await openLedger(layout),
      log,
      signal: giveUp.signal,
    };
    log.info({ host: identity.hostIdentifier, endpoint: config.deployControlEndpoint.href, root: config.root }, 'The agent has started.');
    try {
      const recovery = await recover(context);
      const running = new Map([['recovery', recovery.done]]);
      await poll(context, running, signal);
      log.info('The agent stops once its running commands have ended.');
      await settle([...running.values()], config.killAgentMaxWaitTimeSeconds * 1000);
      giveUp.abort();
      await settle([...running.values()], LAST_WORDS_MS);
    } finally {
      giveUp.abort();
      transport.close();
      log.info('The agent has stopped.');
      close();
    }
  } finally {
    await unlock();
  }
}

/** Asks for commands, one request after the other, until the signal. Commands run beside it. */
async function poll(context: CommandContext, running: Map<string, Promise<void>>, signal: AbortSignal): Promise<void> {
  const { service, log, config } = context;
  let failures = 0;
  while (!signal.aborted) {
    const asked = Date.now();
    try {
      const command = await service.poll(signal);
      failures = 0;
      if (command) {
        const id = command.HostCommandIdentifier;
        const earlier = running.get(id);
        // One that is delivered while it runs is answered once more after it has ended.
        const task = (earlier ?? Promise.resolve()).then(() => processCommand(command, context));
        running.set(id, task);
        task.finally(() => running.get(id) === task && running.delete(id));
        if (!earlier) continue;
      }
      // A server that held the request is asked again at once; one that answers right away is given its pause.
      const pause = config.waitBetweenRunsSeconds * 1000 - (Date.now() - asked);
      if (pause > 0) await delay(pause, undefined, { signal }).catch(() => undefined);
    } catch (error) {
      if (signal.aborted) return;
      failures++;
      const pause = pauseAfter(failures);
      log.warn({ error: messageOf(error), failures, pauseMs: Math.round(pause) }, 'Polling for commands failed.');
      await delay(pause, undefined, { signal }).catch(() => undefined);
    }
  }
}

/** Waits until all tasks have ended, or until the time is up. */
async function settle(tasks: Promise<void>[], limitMs: number): Promise<void> {
  const patience = new AbortController();
  const limit = delay(limitMs, undefined, { signal: patience.signal }).catch(() => undefined);
  await Promise.race([Promise.all(tasks), limit]);
  patience.abort();
}

async function openLog(config: AgentConfig): Promise<{ log: Logger; close: () => void }> {
  await mkdir(config.logDir, { recursive: true });
  const file = destination({ dest: join(config.logDir, 'codedeploy-agent.log'), sync: true });
  const log = pino({ level: config.verbose ? 'debug' : 'info', timestamp: pino.stdTimeFunctions.isoTime }, file);
  return { log, close: () => file.end() };
}
