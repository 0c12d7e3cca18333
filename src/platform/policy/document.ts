/** Policy documents: read once, compiled once, asked many times. */
import { type Condition, compileCondition } from './conditions.ts';
import { compilePattern, type Pattern, type Resolve } from './pattern.ts';
import { compilePrincipals, type PrincipalTest } from './principals.ts';

/** What is wrong with a document, in AWS's words. */
export class PolicyError extends Error {
  override readonly name = 'PolicyError';
}

/** A statement as it is written, with lists made of single values. */
export interface StatementSource {
  sid: string | undefined;
  effect: 'Allow' | 'Deny';
  principal: PrincipalSource | undefined;
  notPrincipal: PrincipalSource | undefined;
  actions: string[] | undefined;
  notActions: string[] | undefined;
  resources: string[] | undefined;
  notResources: string[] | undefined;
  conditions: { operator: string; key: string; values: string[] }[];
}

/** `*`, or values by kind: AWS, Service, Federated, CanonicalUser. */
export type PrincipalSource = '*' | Record<string, string[]>;

export interface PolicySource {
  version: '2012-10-17' | '2008-10-17';
  statements: StatementSource[];
}

export interface Statement {
  readonly allow: boolean;
  readonly sid: string | undefined;
  /** Absent in identity policies. */
  readonly principals: PrincipalTest | undefined;
  /** Whether action, resource and conditions fit; the principal is asked apart, since its answer is more than yes or no. */
  applies(action: string, resource: string, resolve: Resolve): boolean;
}

export interface Policy {
  readonly statements: readonly Statement[];
}

const SYNTAX = 'Syntax errors in policy.';
const ELEMENTS = new Set('Sid Effect Principal NotPrincipal Action NotAction Resource NotResource Condition'.split(' '));
const PRINCIPAL_KINDS = new Set(['AWS', 'Service', 'Federated', 'CanonicalUser']);

type Json = Record<string, unknown>;

/** Reads what all kinds of policy have in common; throws PolicyError. What each kind asks beyond is in validate.ts. */
export function readPolicy(text: string): PolicySource {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new PolicyError('This policy contains invalid Json');
  }
  const document = object(json);
  if (Object.keys(document).some((name) => !['Version', 'Id', 'Statement'].includes(name))) throw new PolicyError(SYNTAX);
  if (document.Id !== undefined && typeof document.Id !== 'string') throw new PolicyError(SYNTAX);
  const version = document.Version ?? '2008-10-17';
  if (version !== '2012-10-17' && version !== '2008-10-17') throw new PolicyError(SYNTAX);
  const statements = Array.isArray(document.Statement) ? document.Statement : [document.Statement];
  if (document.Statement === undefined || statements.length === 0) throw new PolicyError(SYNTAX);
  return { version, statements: statements.map((statement) => readStatement(object(statement))) };
}

function readStatement(json: Json): StatementSource {
  if (Object.keys(json).some((name) => !ELEMENTS.has(name))) throw new PolicyError(SYNTAX);
  const { Sid: sid, Effect: effect } = json;
  if (sid !== undefined && typeof sid !== 'string') throw new PolicyError(SYNTAX);
  if (effect !== 'Allow' && effect !== 'Deny') throw new PolicyError(SYNTAX);
  for (const name of ['Action', 'Resource', 'Principal']) {
    if (json[name] !== undefined && json[`Not${name}`] !== undefined) throw new PolicyError(SYNTAX);
  }
  return {
    sid,
    effect,
    principal: readPrincipal(json.Principal),
    notPrincipal: readPrincipal(json.NotPrincipal),
    actions: optionalStrings(json.Action),
    notActions: optionalStrings(json.NotAction),
    resources: optionalStrings(json.Resource),
    notResources: optionalStrings(json.NotResource),
    conditions: readConditions(json.Condition),
  };
}

function readPrincipal(json: unknown): PrincipalSource | undefined {
  if (json === undefined) return undefined;
  if (json === '*') return '*';
  const kinds = Object.entries(object(json));
  if (kinds.length === 0 || kinds.some(([kind]) => !PRINCIPAL_KINDS.has(kind))) throw new PolicyError(SYNTAX);
  return Object.fromEntries(kinds.map(([kind, values]) => [kind, strings(values)]));
}

function readConditions(json: unknown): StatementSource['conditions'] {
  if (json === undefined) return [];
  return Object.entries(object(json)).flatMap(([operator, keys]) =>
    Object.entries(object(keys)).map(([key, values]) => ({ operator, key, values: scalars(values) })),
  );
}

function object(json: unknown): Json {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw new PolicyError(SYNTAX);
  return json as Json;
}

function optionalStrings(json: unknown): string[] | undefined {
  return json === undefined ? undefined : strings(json);
}

function strings(json: unknown): string[] {
  const list = Array.isArray(json) ? json : [json];
  if (!list.every((value) => typeof value === 'string')) throw new PolicyError(SYNTAX);
  return list;
}

/** Condition values may be written as numbers and booleans, too. */
function scalars(json: unknown): string[] {
  const list = Array.isArray(json) ? json : [json];
  if (!list.every((value) => ['string', 'number', 'boolean'].includes(typeof value))) throw new PolicyError(SYNTAX);
  return list.map(String);
}

/** Throws PolicyError when the text is no policy. */
export function compilePolicy(text: string): Policy {
  const source = readPolicy(text);
  return { statements: source.statements.map((statement) => compileStatement(statement, source.version)) };
}

const KEPT_POLICIES = 5000;
const kept = new Map<string, Policy>();

/** `compilePolicy`, remembered by text. For documents that were validated when they were stored. */
export function cachedPolicy(text: string): Policy {
  let policy = kept.get(text);
  if (!policy) {
    policy = compilePolicy(text);
    if (kept.size >= KEPT_POLICIES) kept.delete(kept.keys().next().value!);
    kept.set(text, policy);
  }
  return policy;
}

function compileStatement(source: StatementSource, version: PolicySource['version']): Statement {
  const variables = version === '2012-10-17';
  const actions = compileActions(source.actions ?? source.notActions ?? []);
  const actionsNegated = source.notActions !== undefined;
  const resources = compileResources(source, variables);
  const conditions = source.conditions.map(({ operator, key, values }): Condition => {
    const condition = compileCondition(operator, key, values, variables);
    if (!condition) throw new PolicyError(SYNTAX);
    return condition;
  });
  return {
    allow: source.effect === 'Allow',
    sid: source.sid,
    principals: compilePrincipals(source),
    applies: (action, resource, resolve) =>
      actions(action) !== actionsNegated && resources(resource, resolve) && conditions.every((condition) => condition(resolve)),
  };
}

const noValues: Resolve = () => undefined;

function compileActions(sources: string[]): (action: string) => boolean {
  const patterns = sources.map((source) => compilePattern(source, { wildcards: true, variables: false, ignoreCase: true }));
  return (action) => patterns.some((pattern) => pattern.matches(action, noValues));
}

/** Trust policies have no resource: the role is meant. */
function compileResources(source: StatementSource, variables: boolean): (resource: string, resolve: Resolve) => boolean {
  const compile = (text: string): Pattern => compilePattern(text, { wildcards: true, variables });
  if (source.resources) {
    const patterns = source.resources.map(compile);
    return (resource, resolve) => patterns.some((pattern) => pattern.matches(resource, resolve));
  }
  if (!source.notResources) return () => true;
  const patterns = source.notResources.map(compile);
  const allow = source.effect === 'Allow';
  // A variable without a value must not turn "all but this" into "all": such an Allow does not apply, such a Deny does.
  return (resource, resolve) =>
    patterns.some((pattern) => pattern.unresolved(resolve)) ? !allow : !patterns.some((pattern) => pattern.matches(resource, resolve));
}
