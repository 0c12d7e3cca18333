/** Bucket policies as documents: are they well formed, do they speak of their bucket, and do they open it to everybody? */
import { s3Error } from './errors.ts';

const MAX_POLICY_BYTES = 20_480;
const VERSIONS = ['2008-10-17', '2012-10-17'];
const PRINCIPAL_KINDS = ['AWS', 'Service', 'Federated', 'CanonicalUser'];
/** A policy for everybody is not public when one of these narrows it to a fixed value (user guide, "The meaning of public"). */
const NARROWING_KEYS = [
  'aws:principalarn',
  'aws:principalaccount',
  'aws:principalorgid',
  'aws:principalorgpaths',
  'aws:sourceaccount',
  'aws:sourcearn',
  'aws:sourceip',
  'aws:sourceorgid',
  'aws:sourcevpc',
  'aws:sourcevpce',
  'aws:userid',
  's3:dataaccesspointaccount',
  's3:dataaccesspointarn',
];

interface Statement {
  Effect?: unknown;
  Principal?: unknown;
  NotPrincipal?: unknown;
  Action?: unknown;
  NotAction?: unknown;
  Resource?: unknown;
  NotResource?: unknown;
  Condition?: unknown;
}

/** Throws MalformedPolicy. */
export function checkPolicy(text: string, bucket: string): void {
  if (Buffer.byteLength(text) > MAX_POLICY_BYTES) throw malformed('Policy exceeds the maximum allowed document size.');
  const policy = parse(text);
  if (policy.Version !== undefined && !VERSIONS.includes(policy.Version as string))
    throw malformed('The policy must contain a valid version string');
  const statements = statementsOf(policy);
  if (statements.length === 0) throw malformed('Could not parse the policy: Statement is empty!');
  for (const statement of statements) checkStatement(statement, bucket);
}

/** Whether a policy that was accepted once allows something to everybody. */
export function isPublic(text: string): boolean {
  return statementsOf(parse(text)).some(
    (statement) =>
      statement.Effect === 'Allow' &&
      (statement.NotPrincipal !== undefined || namesEverybody(statement.Principal)) &&
      !isNarrowed(statement),
  );
}

function parse(text: string): Record<string, unknown> {
  if (!text.startsWith('{')) throw s3Error('MalformedPolicy');
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    throw malformed("Policies must be valid JSON and the first byte must be '{'");
  }
}

function statementsOf(policy: Record<string, unknown>): Statement[] {
  return list(policy.Statement) as Statement[];
}

function checkStatement(statement: Statement, bucket: string): void {
  if (typeof statement !== 'object' || statement === null) throw malformed('Could not parse the policy: Statement is empty!');
  if (statement.Effect !== 'Allow' && statement.Effect !== 'Deny') throw malformed(`Invalid effect: ${String(statement.Effect)}`);
  oneOf(statement, 'Principal', 'NotPrincipal');
  oneOf(statement, 'Action', 'NotAction');
  oneOf(statement, 'Resource', 'NotResource');
  checkPrincipal(statement.Principal ?? statement.NotPrincipal);
  for (const action of texts(statement.Action ?? statement.NotAction, 'action')) {
    if (action !== '*' && !/^s3:[A-Za-z*?]+$/i.test(action)) throw malformed('Policy has invalid action');
  }
  for (const resource of texts(statement.Resource ?? statement.NotResource, 'resource')) {
    const arn = `arn:aws:s3:::${bucket}`;
    if (resource !== '*' && resource !== arn && !resource.startsWith(`${arn}/`)) throw malformed('Policy has invalid resource');
  }
  if (statement.Condition !== undefined && (typeof statement.Condition !== 'object' || statement.Condition === null)) {
    throw malformed('Invalid Condition type');
  }
}

function oneOf(
  statement: Statement,
  name: 'Principal' | 'Action' | 'Resource',
  negated: 'NotPrincipal' | 'NotAction' | 'NotResource',
): void {
  const given = [name, negated].filter((each) => statement[each as keyof Statement] !== undefined).length;
  if (given === 0) throw malformed(`Missing required field ${name}`);
  if (given === 2) throw malformed(`Statement must not contain both ${name} and ${negated}`);
}

function checkPrincipal(principal: unknown): void {
  if (principal === '*') return;
  if (typeof principal !== 'object' || principal === null || Array.isArray(principal)) throw malformed('Invalid policy syntax.');
  for (const [kind, values] of Object.entries(principal)) {
    if (!PRINCIPAL_KINDS.includes(kind)) throw malformed('Invalid policy syntax.');
    for (const value of texts(values, 'principal')) {
      if (kind === 'AWS' && value !== '*' && !/^\d{12}$|^arn:[\w-]+:(?:iam|sts)::\d{12}:/.test(value))
        throw malformed('Invalid principal in policy');
    }
  }
}

function namesEverybody(principal: unknown): boolean {
  if (principal === '*') return true;
  if (typeof principal !== 'object' || principal === null) return false;
  return list((principal as Record<string, unknown>).AWS).includes('*');
}

function isNarrowed(statement: Statement): boolean {
  for (const [operator, tests] of Object.entries((statement.Condition ?? {}) as Record<string, Record<string, unknown>>)) {
    if (/^Not|NotEquals|NotLike|NotIp|IfExists$|^Null$/i.test(operator)) continue;
    for (const [key, values] of Object.entries(tests ?? {})) {
      const fixed = list(values).every((value) => typeof value === 'string' && !/^\*|^0\.0\.0\.0\/0$|^::\/0$|\$\{/.test(value));
      if (NARROWING_KEYS.includes(key.toLowerCase()) && fixed) return true;
    }
  }
  return false;
}

function texts(value: unknown, what: string): string[] {
  const values = list(value);
  if (values.length === 0 || values.some((each) => typeof each !== 'string' || each === '')) throw malformed(`Policy has invalid ${what}`);
  return values as string[];
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : value === undefined ? [] : [value];
}

function malformed(message: string) {
  return s3Error('MalformedPolicy', message);
}
