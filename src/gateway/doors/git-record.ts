/** The one place where an access of git ends, whichever door it came through and however it ended. */
import { AwsError } from '../../platform/errors.ts';
import type { Principal } from '../../platform/principal.ts';
import type { Gateway } from '../exchange.ts';

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

export function recordGit({ platform }: Gateway, { error, principal, references, ...record }: GitRecord): void {
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
