/** What would be decided? The same evaluator that decides requests, on policies and circumstances that the caller describes. */
import { cachedPolicy } from '../../../platform/policy/document.ts';
import { evaluate, type Question } from '../../../platform/policy/evaluate.ts';
import type { Resolve } from '../../../platform/policy/pattern.ts';
import type { Principal } from '../../../platform/principal.ts';
import { type Input, operation, type RequestContext, type ShapeOf } from '../../../platform/service.ts';
import { invalidInput } from '../errors.ts';
import { managedDocuments } from '../identities.ts';
import { pageOf, rowLimit } from '../paging.ts';
import { requestValues } from '../request-values.ts';
import type { Tags } from '../tables.ts';
import { requireReadable } from './context-keys.ts';
import { statementSpans } from './positions.ts';
import { callerOf, onSource, principalOf, requireSource } from './principals.ts';
import { givenSources, isExcluded, type PolicySource, policiesOf } from './sources.ts';

type CustomInput = Input<'iam', 'SimulateCustomPolicy'>;
type Result = ShapeOf<'iam', 'EvaluationResult'>;

interface Simulation {
  principal: Principal | undefined;
  tags: Tags | undefined;
  policies: PolicySource[];
  boundary: PolicySource[] | undefined;
}

export const simulateCustomPolicy = operation('iam', 'SimulateCustomPolicy', {
  authorize: () => '*',
  async handle(ctx, input) {
    if (input.OrderedOrganizationPolicyInputList?.length) throw invalidInput('Penstock has no organizations, so none of their policies.');
    const simulation: Simulation = {
      principal: input.CallerArn === undefined ? undefined : await callerOf(ctx, input.CallerArn),
      tags: undefined,
      policies: requireReadable(givenSources(input.PolicyInputList)),
      boundary: givenBoundary(input),
    };
    return pageOfResults(ctx, input, simulation);
  },
});

export const simulatePrincipalPolicy = operation('iam', 'SimulatePrincipalPolicy', {
  authorize: onSource,
  async handle(ctx, input) {
    const entity = await requireSource(ctx, input.PolicySourceArn);
    const exclusions = input.PolicyExclusionList ?? [];
    const own = (await policiesOf(ctx, entity)).filter((source) => !isExcluded(source, exclusions));
    const bounded = !exclusions.some(({ PolicyType }) => PolicyType === 'permission-boundary');
    const simulation: Simulation = {
      principal: input.CallerArn === undefined ? principalOf(entity) : await callerOf(ctx, input.CallerArn),
      tags: entity.tags,
      policies: [...own, ...requireReadable(givenSources(input.PolicyInputList))],
      boundary: givenBoundary(input) ?? (bounded && entity.boundary ? await boundaryOf(ctx, entity.boundary) : undefined),
    };
    return pageOfResults(ctx, input, simulation);
  },
});

function givenBoundary({ PermissionsBoundaryPolicyInputList: list }: Asked): PolicySource[] | undefined {
  if (!list?.length) return undefined;
  if (list.length > 1) throw invalidInput('Only one permissions boundary policy can be given.');
  return requireReadable(givenSources(list, 'PermissionsBoundaryPolicyInputList'));
}

/** A boundary whose policy is gone allows nothing. */
async function boundaryOf(ctx: RequestContext, arn: string): Promise<PolicySource[]> {
  const text = (await managedDocuments(ctx.read, [arn])).get(arn);
  return text === undefined ? [] : [{ id: arn.slice(arn.lastIndexOf('/') + 1), kind: 'user-managed', text, arn }];
}

type Asked = Omit<CustomInput, 'PolicyInputList'>;

/** Results in the order of actions, then resources. */
function pageOfResults(ctx: RequestContext, input: Asked, simulation: Simulation) {
  for (const action of input.ActionNames) {
    if (!/^[a-zA-Z0-9-]+:[a-zA-Z0-9]+$/.test(action)) throw invalidInput(`Invalid Action Name provided: ${action}`);
  }
  if (input.ResourcePolicy !== undefined) {
    requireReadable([{ id: 'ResourcePolicy', kind: 'resource', text: input.ResourcePolicy }], 'resource');
    if (!simulation.principal) throw invalidInput('CallerArn is required when ResourcePolicy is given and no user is simulated.');
  }
  const resources = input.ResourceArns?.length ? input.ResourceArns : ['*'];
  const asked = input.ActionNames.flatMap((action) => resources.map((resource) => ({ action, resource })));
  const after = input.Marker === undefined ? 0 : indexAfter(ctx, input.Marker);
  const rows = asked.map((one, index) => ({ ...one, index })).slice(after, after + rowLimit(input));
  const { items, ...page } = pageOf(ctx, 'simulation', input, rows, (row) => String(row.index + 1));
  return { EvaluationResults: items.map(({ action, resource }) => simulateOne(ctx, input, simulation, action, resource)), ...page };
}

function indexAfter(ctx: RequestContext, marker: string): number {
  const index = Number(ctx.paging.open<string>(`iam:simulation:${ctx.account}`, marker));
  if (!Number.isInteger(index)) throw invalidInput('Invalid Marker.');
  return index;
}

function simulateOne(ctx: RequestContext, input: Asked, simulation: Simulation, action: string, resource: string): Result {
  const { resolve, missing } = circumstances(ctx, input, simulation, resource);
  const principal = simulation.principal ?? { type: 'User', account: ctx.account, arn: '', id: '', name: '' };
  const question: Question = {
    principal,
    action,
    resource,
    resolve,
    resourceAccount: input.ResourcePolicy === undefined ? undefined : ownerOf(input, resource),
    identity: simulation.policies.map(({ text }) => cachedPolicy(text)),
    boundary: simulation.boundary && { statements: simulation.boundary.flatMap(({ text }) => cachedPolicy(text).statements) },
    resourcePolicy: input.ResourcePolicy === undefined ? undefined : cachedPolicy(input.ResourcePolicy),
  };
  const decision = evaluate(question).decision;
  const given = input.ResourcePolicy;
  const sources: PolicySource[] = given === undefined ? [] : [{ id: 'ResourcePolicy', kind: 'resource', text: given }];
  const all = [...simulation.policies, ...(simulation.boundary ?? []), ...sources];
  const boundary =
    question.boundary && evaluate({ ...question, identity: [question.boundary], boundary: undefined, resourcePolicy: undefined });
  return {
    EvalActionName: action,
    EvalResourceName: resource,
    EvalDecision: decision,
    MatchedStatements: decision === 'implicitDeny' ? [] : matched(all, question, decision === 'allowed'),
    MissingContextValues: [...missing],
    ...(boundary && { PermissionsBoundaryDecisionDetail: { AllowedByPermissionsBoundary: boundary.decision === 'allowed' } }),
    ResourceSpecificResults: [],
  };
}

/** The statements that decided: all that allow, or all that deny. */
function matched(
  sources: PolicySource[],
  { action, resource, resolve, principal }: Question,
  allowed: boolean,
): Result['MatchedStatements'] {
  return sources.flatMap(({ id, text, kind }) => {
    const spans = statementSpans(text);
    return cachedPolicy(text).statements.flatMap((statement, index) => {
      if (statement.allow !== allowed || !statement.applies(action.toLowerCase(), resource, resolve)) return [];
      if (statement.principals && !statement.principals(principal)) return [];
      return [{ SourcePolicyId: id, SourcePolicyType: sourceType(kind), ...spans[index] }];
    });
  });
}

/** The model's enum says otherwise, but these are the words that IAM answers. */
function sourceType(kind: PolicySource['kind']): never {
  return (kind === 'resource' ? 'Resource Policy' : 'IAM Policy') as never;
}

/** The values that the caller gave, then what is known of the principal; keys that a policy asked for in vain are noted. */
function circumstances(
  ctx: RequestContext,
  { ContextEntries = [] }: Asked,
  { principal, tags }: Simulation,
  resource: string,
): { resolve: Resolve; missing: Set<string> } {
  const given = new Map(
    ContextEntries.map(({ ContextKeyName = '', ContextKeyValues = [], ContextKeyType }) => [
      ContextKeyName.toLowerCase(),
      ContextKeyType?.endsWith('List') ? ContextKeyValues : ContextKeyValues[0],
    ]),
  );
  const request = { region: ctx.region, sourceIp: '', userAgent: '', http: undefined, now: ctx.now };
  const known = principal && requestValues({ ...request, principal }, { resource }, tags);
  const missing = new Set<string>();
  return {
    missing,
    resolve(key) {
      const value = given.get(key) ?? (ABOUT_PRINCIPAL.test(key) ? known?.(key) : undefined) ?? TIME[key]?.(ctx);
      if (value === undefined) missing.add(key);
      return value;
    },
  };
}

/** What follows from who calls; all else is for the caller of the simulation to say. */
const ABOUT_PRINCIPAL = /^aws:(principal(arn|account|type|isawsservice|tag\/.*)|userid|username)$/;

const TIME: Record<string, (ctx: RequestContext) => string> = {
  'aws:currenttime': ({ now }) => now().toISOString(),
  'aws:epochtime': ({ now }) => String(Math.floor(now().getTime() / 1000)),
};

/** The account in the resource's ARN, else in `ResourceOwner`; the principal's own when neither says. */
function ownerOf({ ResourceOwner = '' }: Asked, resource: string): string | undefined {
  const accountIn = (arn: string): string | undefined => /^arn:[^:]*:[^:]*:[^:]*:(\d{12}):/.exec(arn)?.[1];
  return accountIn(resource) ?? accountIn(ResourceOwner) ?? /^\d{12}$/.exec(ResourceOwner)?.[0];
}
