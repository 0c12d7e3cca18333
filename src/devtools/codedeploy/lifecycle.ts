/** The lifecycle events of an in-place deployment to instances, and what hosts tell of them. */
import type { Diagnostics } from './tables.ts';

/** In this order; each is one command to the host's agent. */
export const LIFECYCLE_EVENTS = [
  'ApplicationStop',
  'DownloadBundle',
  'BeforeInstall',
  'Install',
  'AfterInstall',
  'ApplicationStart',
  'ValidateService',
] as const;

/** What an appspec.yml may have hooks for without being refused, though an in-place deployment without a load balancer runs fewer. */
export const POSSIBLE_EVENTS = [
  'BeforeBlockTraffic',
  'AfterBlockTraffic',
  ...LIFECYCLE_EVENTS,
  'BeforeAllowTraffic',
  'AfterAllowTraffic',
] as const;

/** A command must be begun by its host in this time. */
export const START_LIMIT_MS = 5 * 60_000;
/** And once begun, ended in this. */
export const RUN_LIMIT_MS = 3600_000;
/** A whole in-place deployment. */
export const DEPLOYMENT_LIMIT_MS = 8 * 3600_000;

/** AWS keeps as much of a script's log. */
const LOG_TAIL = 2048;

/**
 * By the number that agents send. 6 (a script left its output open) and 7 (the agent was restarted while it ran) have no name of their own
 * in the API.
 */
const ERROR_CODES: Record<number, NonNullable<Diagnostics['errorCode']>> = {
  0: 'Success',
  1: 'ScriptMissing',
  2: 'ScriptNotExecutable',
  3: 'ScriptTimedOut',
  4: 'ScriptFailed',
  5: 'UnknownError',
  6: 'ScriptFailed',
  7: 'UnknownError',
};

/** A host's diagnostics (`{"error_code", "script_name", "message", "log"}` as JSON text). What cannot be read is shown as it came. */
export function readDiagnostics(payload: string | undefined, succeeded: boolean): Diagnostics {
  const given = parse(payload);
  if (!given) {
    return { errorCode: succeeded ? 'Success' : 'UnknownError', scriptName: '', message: payload ?? '', logTail: '' };
  }
  const text = (value: unknown): string => (typeof value === 'string' ? value : '');
  const code = typeof given.error_code === 'number' ? ERROR_CODES[given.error_code] : undefined;
  return {
    errorCode: code ?? (succeeded ? 'Success' : 'UnknownError'),
    scriptName: text(given.script_name),
    message: text(given.message),
    logTail: text(given.log).slice(-LOG_TAIL),
  };
}

/** Whether an acknowledgement says that the host has nothing to do for the command. */
export function isNoop(payload: string | undefined): boolean {
  return parse(payload)?.IsCommandNoop === true;
}

function parse(payload: string | undefined): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(payload ?? '');
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** AWS's words for a host that does not take its command, and what it leaves unsaid: whether the agent was there at all. */
export function agentIssue(lastSeen: Date | undefined): Diagnostics {
  const seen = lastSeen
    ? `The agent of this host was last seen at ${lastSeen.toISOString()}.`
    : 'No agent of this host has ever been seen.';
  return {
    errorCode: 'UnknownError',
    scriptName: '',
    message:
      'CodeDeploy agent was not able to receive the lifecycle event. Check the CodeDeploy agent logs on your host and make sure the agent is ' +
      `running and can connect to the CodeDeploy server. ${seen}`,
    logTail: '',
  };
}

export function runTimeout(name: string, lastSeen: Date | undefined): Diagnostics {
  const seen = lastSeen ? ` The agent of this host was last seen at ${lastSeen.toISOString()}.` : '';
  return {
    errorCode: 'ScriptTimedOut',
    scriptName: '',
    message: `The host began ${name} but did not report its end within ${RUN_LIMIT_MS / 1000} seconds.${seen}`,
    logTail: '',
  };
}
