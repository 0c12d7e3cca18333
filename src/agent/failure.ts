/** What a lifecycle event can end with, as the command service and the API (`LifecycleErrorCode`) number it. */
export const Outcome = {
  Success: 0,
  ScriptMissing: 1,
  ScriptNotExecutable: 2,
  ScriptTimedOut: 3,
  ScriptFailed: 4,
  UnknownError: 5,
  OutputsLeftOpen: 6,
  FailedAfterRestart: 7,
} as const;

export type OutcomeCode = (typeof Outcome)[keyof typeof Outcome];

/** A lifecycle event that failed for a reason that the user is to be told: code, script and message go into the diagnostics. */
export class EventFailure extends Error {
  override readonly name = 'EventFailure';
  readonly code: OutcomeCode;
  readonly script: string;
  /** The end of the scripts' output until then. */
  log = '';

  constructor(code: OutcomeCode, script: string, message: string) {
    super(message);
    this.code = code;
    this.script = script;
  }
}

/** An appspec that a deployment cannot go on with; the message is the AWS agent's where that one has one. */
export class AppSpecError extends Error {
  override readonly name = 'AppSpecError';
}

/** The longest diagnostics payload that the command service takes, in characters. */
const LONGEST_DIAGNOSTICS = 8192;

/** The diagnostics of a finished command, as `PutHostCommandComplete` carries them (a JSON text). */
export function diagnostics(code: OutcomeCode, script: string, message: string, log: string): string {
  const shortened = message.length > 2048 ? `${message.slice(0, 2045)}...` : message;
  const encode = (kept: string) => JSON.stringify({ error_code: code, script_name: script, message: shortened, log: kept });
  let kept = log;
  let payload = encode(kept);
  // Escaping can make a log of control characters six times as long as it was.
  while (payload.length > LONGEST_DIAGNOSTICS && kept !== '') {
    kept = kept.slice(Math.ceil(kept.length / 2));
    payload = encode(kept);
  }
  return payload;
}

/** The text of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
