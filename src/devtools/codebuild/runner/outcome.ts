/** How phases and builds end, in the API's words. */
export type PhaseType =
  | 'SUBMITTED'
  | 'QUEUED'
  | 'PROVISIONING'
  | 'DOWNLOAD_SOURCE'
  | 'INSTALL'
  | 'PRE_BUILD'
  | 'BUILD'
  | 'POST_BUILD'
  | 'UPLOAD_ARTIFACTS'
  | 'FINALIZING'
  | 'COMPLETED';

export type FinalStatus = 'SUCCEEDED' | 'FAILED' | 'FAULT' | 'TIMED_OUT' | 'STOPPED';

export interface PhaseContext {
  statusCode: string;
  message: string;
}

export interface PhaseOutcome {
  status: FinalStatus;
  contexts: PhaseContext[];
}

/** What CodeBuild shows for a phase of the container that went well. */
export const SUCCEEDED: PhaseOutcome = { status: 'SUCCEEDED', contexts: [{ statusCode: '', message: '' }] };

/** A phase fails with this code and message; the build's author can do something about it. */
export class BuildFailure extends Error {
  override readonly name = 'BuildFailure';
  readonly statusCode: string;

  constructor(statusCode: string, message: string, cause?: unknown) {
    super(message, { cause });
    this.statusCode = statusCode;
  }
}

/** Why a build's signal was aborted. */
export class BuildInterrupt extends Error {
  override readonly name = 'BuildInterrupt';
  readonly status: 'STOPPED' | 'TIMED_OUT';

  constructor(status: 'STOPPED' | 'TIMED_OUT') {
    super(status === 'STOPPED' ? 'Build was stopped.' : 'Build has timed out.');
    this.status = status;
  }
}

/** The outcome of a phase that ended by `error`. */
export function outcomeOf(error: unknown): PhaseOutcome {
  if (error instanceof BuildInterrupt) {
    const contexts = error.status === 'TIMED_OUT' ? [{ statusCode: 'BUILD_TIMED_OUT', message: 'Build has timed out. ' }] : [];
    return { status: error.status, contexts };
  }
  if (error instanceof BuildFailure) return { status: 'FAILED', contexts: [{ statusCode: error.statusCode, message: error.message }] };
  const message = error instanceof Error ? error.message : String(error);
  return { status: 'FAULT', contexts: [{ statusCode: 'INTERNAL_SERVICE_ERROR', message }] };
}
