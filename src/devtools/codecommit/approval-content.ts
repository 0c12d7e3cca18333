/** What approval rules and their templates say: JSON that is read strictly, and who belongs to an approval pool. */
import { createHash } from 'node:crypto';
import { AwsError } from '../../platform/errors.ts';
import { compilePattern } from '../../platform/policy/pattern.ts';

const VERSION = '2018-11-08';
/** "Approvals on a pull request": a rule that asks for more could never be satisfied. */
export const MAX_APPROVALS = 200;
const MAX_POOL = 50;
const MAX_DESTINATIONS = 100;

export interface RuleContent {
  /** Full names of branches, with `*` for any run of characters. Empty: every branch. */
  destinations: string[];
  statements: ApprovalStatement[];
}

interface ApprovalStatement {
  needed: number;
  /** Empty: everybody counts. */
  pool: string[];
}

/** Of the text as it was given, in hexadecimal. */
export function contentSha256(content: string): string {
  return createHash('sha256').update(content).digest('hex');
}

/** `InvalidRuleContentSha256Exception` when the caller means another content than the one that would be replaced. */
export function checkSha256(content: string, expected: string | undefined): void {
  if (expected === undefined || expected === contentSha256(content)) return;
  throw new AwsError('InvalidRuleContentSha256Exception', 'The SHA-256 hash signature is not that of the current content of the rule.');
}

export const NAME_RULE = 'Names may have letters, numbers, periods, spaces, underscores and dashes, and cannot end in .git.';

export function isRuleName(name: string): boolean {
  return /^[\p{L}\p{N}. _-]{1,100}$/u.test(name) && name.trim() !== '' && !name.endsWith('.git');
}

/** A rule of one pull request. `InvalidApprovalRuleContentException` says what is wrong. */
export function readRule(content: string): RuleContent {
  return new ContentReader('InvalidApprovalRuleContentException', 'approval rule').read(content, ['Version', 'Statements']);
}

/** A template, or a rule that was made from one. `InvalidApprovalRuleTemplateContentException` says what is wrong. */
export function readTemplate(content: string): RuleContent {
  const reader = new ContentReader('InvalidApprovalRuleTemplateContentException', 'approval rule template');
  return reader.read(content, ['Version', 'DestinationReferences', 'Statements']);
}

class ContentReader {
  readonly #code: string;
  readonly #what: string;

  constructor(code: string, what: string) {
    this.#code = code;
    this.#what = what;
  }

  read(content: string, keys: string[]): RuleContent {
    const { Version, DestinationReferences = [], Statements } = this.#object(this.#parse(content), 'The content', keys);
    if (Version !== VERSION) throw this.#invalid(`Version must be "${VERSION}"`);
    if (!Array.isArray(Statements) || Statements.length === 0) throw this.#invalid('Statements must be a list of at least one statement');
    return {
      destinations: this.#strings(DestinationReferences, 'DestinationReferences', MAX_DESTINATIONS, this.#checkDestination),
      statements: Statements.map((statement) => this.#statement(statement)),
    };
  }

  #parse(content: string): unknown {
    try {
      return JSON.parse(content);
    } catch (error) {
      throw this.#invalid(`It is not JSON: ${(error as Error).message}`);
    }
  }

  #statement(given: unknown): ApprovalStatement {
    const keys = ['Type', 'NumberOfApprovalsNeeded', 'ApprovalPoolMembers'];
    const { Type, NumberOfApprovalsNeeded: needed, ApprovalPoolMembers = [] } = this.#object(given, 'A statement', keys);
    if (Type !== 'Approvers') throw this.#invalid('The Type of a statement must be "Approvers"');
    if (typeof needed !== 'number' || !Number.isInteger(needed) || needed < 1 || needed > MAX_APPROVALS) {
      throw this.#invalid(`NumberOfApprovalsNeeded must be a whole number from 1 to ${MAX_APPROVALS}`);
    }
    return { needed, pool: this.#strings(ApprovalPoolMembers, 'ApprovalPoolMembers', MAX_POOL, this.#checkMember) };
  }

  #object(given: unknown, what: string, keys: string[]): Record<string, unknown> {
    if (typeof given !== 'object' || given === null || Array.isArray(given)) throw this.#invalid(`${what} must be an object`);
    const strange = Object.keys(given).find((key) => !keys.includes(key));
    if (strange !== undefined) throw this.#invalid(`${what} has no member ${JSON.stringify(strange.slice(0, 100))}`);
    return given as Record<string, unknown>;
  }

  #strings(given: unknown, what: string, limit: number, check: (text: string) => void): string[] {
    if (!Array.isArray(given)) throw this.#invalid(`${what} must be a list`);
    if (given.length > limit) throw this.#invalid(`${what} has more than ${limit} members`);
    for (const text of given) {
      if (typeof text !== 'string') throw this.#invalid(`${what} must hold strings`);
      check(text);
    }
    return given as string[];
  }

  readonly #checkDestination = (reference: string): void => {
    // "You cannot use a wildcard at the beginning of a branch name."
    if (/^refs\/heads\/[^*\s\x00-\x20\x7f~^:?[\\][^\s\x00-\x20\x7f~^:?[\\]*$/.test(reference)) return;
    const shown = JSON.stringify(reference.slice(0, 100));
    throw this.#invalid(`DestinationReferences must hold branches such as refs/heads/main or refs/heads/release-*, not ${shown}`);
  };

  readonly #checkMember = (member: string): void => {
    if (member === '*' || POOL_NAME.test(member) || POOL_ARN.test(member)) return;
    const shown = JSON.stringify(member.slice(0, 100));
    throw this.#invalid(`ApprovalPoolMembers must hold ARNs of IAM identities or CodeCommitApprovers:ACCOUNT:NAME, not ${shown}`);
  };

  #invalid(why: string): AwsError {
    return new AwsError(this.#code, `The content of the ${this.#what} is not valid. ${why}.`);
  }
}

const POOL_NAME = /^CodeCommitApprovers:(\d{12}):([\w+=,.@/*-]+)$/;
const POOL_ARN = /^arn:aws[\w-]*:(?:iam|sts)::\d{12}:[\w+=,.@/*-]+$/;

/** Is the pull request's destination (in full) one that the template is for? */
export function isForDestination({ destinations }: RuleContent, reference: string): boolean {
  return destinations.length === 0 || destinations.some((pattern) => matcher(pattern)(reference));
}

/** Do the approvals of these identities (ARNs) satisfy every statement? */
export function isSatisfied({ statements }: RuleContent, approvers: string[]): boolean {
  const named = approvers.map(approverOf);
  return statements.every(({ needed, pool }) => {
    if (pool.length === 0) return named.length >= needed;
    const members = pool.map(memberMatcher);
    return named.filter((approver) => members.some((matches) => matches(approver))).length >= needed;
  });
}

export function isInPool(member: string, arn: string): boolean {
  return memberMatcher(member)(approverOf(arn));
}

interface Approver {
  account: string | undefined;
  /** His own, and that of the role whose session he is. */
  arns: string[];
  /** What he may be called after `CodeCommitApprovers:ACCOUNT:`. */
  names: string[];
}

function approverOf(arn: string): Approver {
  const [, , , , account, ...rest] = arn.split(':');
  const resource = rest.join(':');
  const withoutType = resource.slice(resource.indexOf('/') + 1);
  const names = [resource, withoutType];
  // Users may lie below a path.
  if (resource.startsWith('user/')) names.push(withoutType.slice(withoutType.lastIndexOf('/') + 1));
  const role = arn.replace(/(:assumed-role\/[^/]+)\/.*$/, '$1');
  return { account, arns: role === arn ? [arn] : [arn, role], names };
}

/**
 * `CodeCommitApprovers:ACCOUNT:Mary` means the IAM user or federated user of that name; sessions of roles are called `Role/Session`. A
 * member that is the ARN of a role without a session stands for all of its sessions.
 */
function memberMatcher(member: string): (approver: Approver) => boolean {
  const [, account, name] = POOL_NAME.exec(member) ?? [];
  const fits = matcher(name ?? member);
  if (name === undefined) return ({ arns }) => arns.some(fits);
  return (approver) => approver.account === account && approver.names.some(fits);
}

function matcher(pattern: string): (text: string) => boolean {
  const compiled = compilePattern(pattern, { wildcards: true, variables: false });
  return (text) => compiled.matches(text, () => undefined);
}
