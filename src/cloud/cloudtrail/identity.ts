/** The `userIdentity` of a record. */
import type { Caller, RecordedPrincipal } from './journal/facts.ts';

export interface Identity {
  type: string;
  principalId?: string;
  arn?: string;
  accountId?: string;
  accessKeyId?: string;
  userName?: string;
  sessionContext?: {
    sessionIssuer?: { type: 'Role'; principalId: string; arn: string; accountId: string; userName: string };
    attributes: { creationDate: string; mfaAuthenticated: 'false' };
    sourceIdentity?: string;
  };
  invokedBy?: string;
  identityProvider?: string;
}

export function userIdentity({ principal, accessKeyId, account, invokedBy }: Caller): Identity {
  // Whoever could not prove who it is: only what it claimed is known.
  if (!principal) return { type: 'Unknown', accountId: account, ...(accessKeyId ? { accessKeyId } : {}) };
  if (principal.type === 'Service') return { type: 'AWSService', invokedBy: principal.arn };
  const { id, arn, name } = principal;
  if (principal.type === 'WebIdentity') {
    return { type: 'WebIdentityUser', principalId: id, userName: name, identityProvider: principal.provider };
  }
  return {
    type: TYPES[principal.type] ?? principal.type,
    principalId: id,
    arn,
    accountId: principal.account,
    ...(accessKeyId ? { accessKeyId } : {}),
    ...(name !== undefined ? { userName: name } : {}),
    ...sessionContext(principal),
    ...(invokedBy !== undefined ? { invokedBy } : {}),
  };
}

const TYPES: Record<string, string> = { User: 'IAMUser' };

function sessionContext({ issuedAt, roleArn, roleName, id, account, sourceIdentity }: RecordedPrincipal): Pick<Identity, 'sessionContext'> {
  if (issuedAt === undefined) return {};
  return {
    sessionContext: {
      ...(roleArn !== undefined && roleName !== undefined
        ? { sessionIssuer: { type: 'Role', principalId: id.split(':')[0]!, arn: roleArn, accountId: account, userName: roleName } }
        : {}),
      attributes: { creationDate: `${new Date(issuedAt).toISOString().slice(0, 19)}Z`, mfaAuthenticated: 'false' },
      ...(sourceIdentity !== undefined ? { sourceIdentity } : {}),
    },
  };
}
