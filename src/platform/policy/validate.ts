/** What each kind of policy must and must not contain, said as IAM says it. */
import { compilePolicy, PolicyError, type PolicySource, readPolicy, type StatementSource } from './document.ts';

/** `identity`: of users, groups, roles and sessions, and managed ones; `trust`: who may assume a role; `resource`: of a bucket or the like. */
export type PolicyUse = 'identity' | 'trust' | 'resource';

/** Throws PolicyError. The answer names every AWS principal of the document, for the caller to see whether they exist. */
export function validatePolicy(text: string, use: PolicyUse): { principals: string[] } {
  const source = readPolicy(text);
  const sids = source.statements.map(({ sid }) => sid).filter((sid) => sid !== undefined);
  if (new Set(sids).size < sids.length) throw new PolicyError('Statement IDs (SID) in a single policy must be unique.');
  for (const statement of source.statements) rules[use](statement);
  compilePolicy(text);
  return { principals: awsPrincipals(source) };
}

/** Characters that count against a quota: white space does not. */
export function policySize(text: string): number {
  return text.replace(/\s/g, '').length;
}

const rules: Record<PolicyUse, (statement: StatementSource) => void> = {
  identity(statement) {
    if (statement.sid !== undefined && !/^[0-9A-Za-z]*$/.test(statement.sid)) {
      throw new PolicyError(
        'Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*',
      );
    }
    if (statement.principal || statement.notPrincipal) throw new PolicyError('Policy document should not specify a principal.');
    requireActions(statement);
    requireResources(statement);
  },
  trust(statement) {
    if (statement.resources || statement.notResources) throw new PolicyError('Has prohibited field Resource');
    if (statement.notPrincipal) throw new PolicyError('Has prohibited field NotPrincipal');
    if (!statement.principal) throw new PolicyError('Missing required field Principal');
    if (!statement.actions && !statement.notActions) throw new PolicyError('Missing required field Action');
    if (!statement.actions?.every((action) => TRUST_ACTION.test(action))) {
      throw new PolicyError('AssumeRole policy may only specify STS AssumeRole actions.');
    }
    requirePrincipals(statement);
  },
  resource(statement) {
    if (!statement.principal && !statement.notPrincipal) throw new PolicyError('Missing required field Principal');
    if (!statement.actions && !statement.notActions) throw new PolicyError('Missing required field Action');
    if (!statement.resources && !statement.notResources) throw new PolicyError('Missing required field Resource');
    requirePrincipals(statement);
  },
};

const TRUST_ACTION = /^sts:(AssumeRole\w*|TagSession|SetSourceIdentity|SetContext|\*)\*?$/i;

function requireActions({ actions, notActions }: StatementSource): void {
  const all = actions ?? notActions ?? [];
  if (all.length === 0) throw new PolicyError('Policy statement must contain actions.');
  for (const action of all) {
    if (action === '*') continue;
    const colon = action.indexOf(':');
    if (colon < 1) throw new PolicyError('Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.');
    const vendor = action.slice(0, colon);
    if (!/^[a-zA-Z0-9*?.-]+$/.test(vendor)) throw new PolicyError(`Vendor ${vendor} is not valid`);
    if (!/^[a-zA-Z0-9*?]+$/.test(action.slice(colon + 1))) throw new PolicyError('The policy failed legacy parsing');
  }
}

function requireResources({ resources, notResources }: StatementSource): void {
  const all = resources ?? notResources ?? [];
  if (all.length === 0) throw new PolicyError('Policy statement must contain resources.');
  for (const resource of all) {
    if (resource === '*') continue;
    const [arn, partition = '', service, region] = resource.split(':');
    if (!matchesWord(arn!, 'arn') || resource.split(':').length < 6) {
      // `arn:aws:s3*` and the like: a wildcard may stand for all the parts that follow it.
      if (matchesWord(arn!, 'arn') && resource.endsWith('*')) continue;
      throw new PolicyError(`Resource ${resource} must be in ARN format or "*".`);
    }
    if (!/^(aws|aws-cn|aws-us-gov|aws-iso(-[a-z])?|.*[*?$].*)$/.test(partition)) {
      throw new PolicyError(`Partition "${partition}" is not valid for resource "${resource}".`);
    }
    if (service === 'iam' && region !== '' && region !== '*') {
      throw new PolicyError(`IAM resource ${resource} cannot contain region information.`);
    }
  }
}

function matchesWord(text: string, word: string): boolean {
  return text === word || /[*?]/.test(text);
}

const PRINCIPAL_ARN = /^arn:aws[\w-]*:(iam|sts)::\d{12}:(root|(user|role|assumed-role|federated-user)\/.+)$/;

function requirePrincipals({ principal, notPrincipal }: StatementSource): void {
  const source = principal ?? notPrincipal!;
  if (source === '*') return;
  for (const value of source.AWS ?? []) {
    if (value !== '*' && !/^\d{12}$/.test(value) && !PRINCIPAL_ARN.test(value)) {
      throw new PolicyError(`Invalid principal in policy: "AWS":"${value}"`);
    }
  }
  for (const value of source.Service ?? []) {
    if (!/^[a-z0-9.-]+\.(amazonaws\.com(\.cn)?|aws\.internal|amazon\.com)$/.test(value)) {
      throw new PolicyError(`Invalid principal in policy: "SERVICE":"${value}"`);
    }
  }
}

function awsPrincipals(source: PolicySource): string[] {
  const named = source.statements.flatMap(({ principal, notPrincipal }) => [principal, notPrincipal]);
  return named.flatMap((principals) => (principals && principals !== '*' ? (principals.AWS ?? []) : []));
}
