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
  /** Penstock itself, acting as an AWS service, e.g. `codebuild.amazonaws.com`; only inside the process. */
  | { type: 'Service'; account: string; service: string; arn: string; id: string };

export interface SessionLimits {
  /** Session policy documents (JSON text): the session may do only what these allow as well. */
  policies?: string[];
  tags?: Record<string, string>;
  /** Keys of `tags` that sessions made by this session inherit. */
  transitiveTagKeys?: string[];
  sourceIdentity?: string;
  issuedAt: Date;
  expiresAt: Date;
}

/** The principal that stands for one of our services in one account. */
export function servicePrincipal(service: string, account: string): Principal {
  const host = `${service}.amazonaws.com`;
  return { type: 'Service', account, service: host, arn: host, id: host };
}
