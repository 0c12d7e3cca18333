/** The one place where an access of git ends, whichever door it came through and however it ended. */
import { callerText, type LineParts } from '../../cloud/cloudtrail/journal/facts.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Principal } from '../../platform/principal.ts';
import type { Gateway } from '../exchange.ts';
import { plainAddress } from '../record.ts';

/** Of a push of thousands of references these are told; a record has a bound. */
const MAX_REFERENCES = 400;

export interface GitRecord {
  /** `GitPull` or `GitPush`; `codecommit:` stands before it in policies. */
  action: 'GitPull' | 'GitPush';
  protocol: 'HTTP' | 'HTTPS' | 'SSH';
  principal: Principal;
  region: string;
  repositoryName: string;
  /** Absent when there is none of this name, or the caller may not know. */
  repositoryId: string | undefined;
  requestId: string;
  sourceIp: string;
  /** What the client calls itself. */
  userAgent: string;
  startedAt: Date;
  endedAt: Date;
  /** False when the client only asked what there is. */
  dataTransferred: boolean;
  /** Of a push: each reference in full, what it became (absent: deleted), and why it did not. */
  references: { ref: string; commit: string | undefined; error: string | undefined }[];
  /** Why the access as a whole was refused or broke off; an AwsError's code and message are for the client's eyes. */
  error: Error | undefined;
}

/** Resolves when the record survives whatever happens to the process. */
export async function recordGit(gateway: Gateway, told: GitRecord): Promise<void> {
  const { platform, recorder } = gateway;
  const { error, principal, references, ...record } = told;
  await recorder?.note(factOf(told));
  if (!platform.log.isLevelEnabled('debug')) return;
  platform.log.debug(
    {
      ...record,
      principal: principal.arn,
      references: references.length,
      error: error instanceof AwsError ? error.code : error?.message,
    },
    'git',
  );
}

function factOf(told: GitRecord): LineParts {
  const { error, references, protocol, repositoryName, repositoryId, dataTransferred } = told;
  return {
    time: told.endedAt.getTime(),
    requestId: told.requestId,
    service: 'codecommit',
    operation: told.action,
    caller: callerText({
      ...told,
      sourceIp: plainAddress(told.sourceIp),
      account: told.principal.account,
      accessKeyId: undefined,
      invokedBy: undefined,
    }),
    tls: undefined,
    error: error && (error instanceof AwsError ? error : { code: 'InternalFailure', message: 'The access broke off' }),
    input: 'null',
    output: 'null',
    git: {
      protocol,
      repositoryName,
      repositoryId,
      dataTransferred,
      references: references.length > 0 ? references.slice(0, MAX_REFERENCES) : undefined,
      referencesOmitted: references.length > MAX_REFERENCES ? references.length - MAX_REFERENCES : undefined,
    },
  };
}
