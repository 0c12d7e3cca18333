/** Who asks. Made by the gateway from credentials, or by `aws.as(…)` inside the process. */
export type Principal =
  | { type: 'Root'; account: string; arn: string; id: string; accessKeyId?: string }
  | { type: 'User'; account: string; arn: string; id: string; name: string; accessKeyId?: string; session?: SessionLimits }
  | {
      type: 'AssumedRole';
      account: string;
      /** `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION` */
      arn: string;
      /** `ROLEID:SESSION` */
      id: string;
      roleArn: string;
      roleName: string;
      sessionName: string;
      accessKeyId?: string;
      session?: SessionLimits;
    }
  /** Who brings a token of an identity provider instead of a signature. `provider`, its ARN, is there once the token was verified. */
  | { type: 'WebIdentity'; account: string; arn: string; id: string; provider?: string; name?: string }
  /** Penstock itself, acting as an AWS service, e.g. `codebuild.amazonaws.com`; only inside the process. */
  | {
      type: 'Service';
      account: string;
      service: string;
      arn: string;
      id: string;
      /** The resource on whose behalf it acts, such as a topic: `aws:SourceArn`. */
      sourceArn?: string;
    };

export interface SessionLimits {
  /** Session policy documents (JSON text): the session may do only what these allow as well. */
  policies?: string[];
  tags?: Record<string, string>;
  /** Keys of `tags` that sessions made by this session inherit. */
  transitiveTagKeys?: string[];
  sourceIdentity?: string;
  /** Values of condition keys that stay with the session, by lower-case key: what an identity provider's token said. */
  context?: Record<string, string | string[]>;
  issuedAt: Date;
  expiresAt: Date;
}

/** An unsigned request; what it may do hangs on what it brings. */
export const UNSIGNED: Principal = { type: 'WebIdentity', account: 'anonymous', arn: 'anonymous', id: 'anonymous' };

/** The principal that stands for one of our services in one account. */
export function servicePrincipal(service: string, account: string, sourceArn?: string): Principal {
  const host = `${service}.amazonaws.com`;
  return { type: 'Service', account, service: host, arn: host, id: host, ...(sourceArn !== undefined && { sourceArn }) };
}
