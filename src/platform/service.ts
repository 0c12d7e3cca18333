/** What a service is made of: operations by the model's names, jobs, reconcilers and tables. Nothing here knows of HTTP. */
import type { ModelShapes, Models } from '../generated/models.ts';
import type { AwsError } from './errors.ts';
import type { Platform, Transaction } from './platform.ts';
import type { Principal } from './principal.ts';

export type ServiceName = keyof Models & string;
export type OperationName<S extends ServiceName> = keyof Models[S] & string;
export type Input<S extends ServiceName, O extends OperationName<S>> = Models[S][O] extends { input: infer I } ? I : never;
export type Output<S extends ServiceName, O extends OperationName<S>> = Models[S][O] extends { output: infer R } ? R : never;
export type ErrorCode<S extends ServiceName, O extends OperationName<S>> = Models[S][O] extends { errors: infer E extends string }
  ? E
  : never;
/** A structure of a model: `ShapeOf<'codebuild', 'Project'>`. */
export type ShapeOf<S extends ServiceName, N extends keyof ModelShapes[S]> = ModelShapes[S][N];

/** What one call has to do with: who, where, and the platform to act on. The same whether the call came by HTTP or from inside. */
export interface RequestContext extends Platform {
  readonly account: string;
  readonly region: string;
  readonly principal: Principal;
  readonly requestId: string;
  readonly sourceIp: string;
  readonly userAgent: string;
  /** The service that makes this call for the principal, e.g. `s3`, when the principal does not make it itself. */
  readonly via?: string;
  /** Further permissions that show only inside the handler; throws AccessDenied as the wire step would. */
  authorize(checks: Check | Check[]): Promise<void>;
  /** Absent for calls from inside. */
  readonly http?: {
    /** Lower-case request headers, for the few operations that AWS drives by headers the model lacks. */
    headers: Record<string, string | undefined>;
    /** `http://host:port` as the client addressed us. */
    origin: string;
    /** Trailers of an aws-chunked body, by lower-case name; complete once the body's stream has ended. */
    trailers: ReadonlyMap<string, string>;
    /** Calls back if the client goes away before it is answered, until the returned function is called. For calls that wait long. */
    onGone(listener: () => void): () => void;
  };
}

export interface OperationContext<Code extends string> extends RequestContext {
  /** An error of this operation's model, or one that every service shares. */
  error(code: Code | CommonErrorCode, message: string, fields?: Record<string, unknown>): AwsError;
}

export type CommonErrorCode = 'ValidationException' | 'AccessDeniedException' | 'ThrottlingException' | 'InternalFailure';

/** One IAM question: may the principal do `action` (default: the operation itself) on `resource`? */
export interface Check {
  /** Who is asked about, when it is not the caller: whom a verified token stands for. */
  principal?: Principal;
  /** `service:Action`; default the IAM action of the operation. */
  action?: string;
  /** An ARN, or `*` where AWS has no resource-level permission. */
  resource: string;
  /** Further condition keys, such as `codecommit:References` or `iam:PassedToService`. */
  conditions?: Record<string, string | string[]>;
  /** Tags of the resource, for `aws:ResourceTag/…`. */
  resourceTags?: Record<string, string>;
  /** Tags in the request, for `aws:RequestTag/…` and `aws:TagKeys`. */
  requestTags?: Record<string, string>;
  /** The resource's own policy document (JSON text), e.g. of a bucket. */
  resourcePolicy?: string;
  /** The account that owns the resource, when it is not the caller's. */
  resourceAccount?: string;
  /** True where the resource's policy must let the caller or its account in, whatever the caller's own policies say: KMS keys. */
  resourcePolicyRequired?: boolean;
  /** The owner granted just this to the caller by other means than policies (a KMS grant); only an explicit denial stands against it. */
  granted?: boolean;
}

export interface OperationDefinition<S extends ServiceName, O extends OperationName<S>> {
  /** What must be allowed before the handler runs; `none` only where AWS asks for no permission (sts:GetCallerIdentity). */
  authorize: 'none' | ((input: Input<S, O>, ctx: RequestContext) => Check | Check[] | string | Promise<Check | Check[] | string>);
  handle(ctx: OperationContext<ErrorCode<S, O>>, input: Input<S, O>): Promise<Output<S, O>>;
  /** `partial` with what is missing, for the coverage page. Default: real. */
  partial?: string;
}

export interface Operation {
  readonly service: ServiceName;
  readonly name: string;
  readonly authorize: 'none' | ((input: any, ctx: RequestContext) => Check | Check[] | string | Promise<Check | Check[] | string>);
  readonly handle: (ctx: any, input: any) => Promise<any>;
  readonly partial?: string;
}

/** Declares one operation of a model. The compiler checks input, output and error codes against it. */
export function operation<S extends ServiceName, O extends OperationName<S>>(
  service: S,
  name: O,
  definition: OperationDefinition<S, O>,
): Operation {
  return { service, name, ...definition };
}

/** Work that must happen after a transaction, at least once, on whichever process is free. Throwing retries it with back-off. */
export type JobHandler = (
  platform: Platform,
  payload: any,
  job: { attempt: number; maxAttempts: number; signal: AbortSignal },
) => Promise<void>;

/**
 * Does the next due thing of one long-running resource and returns. Level-triggered and idempotent; run once at a time per id over all
 * processes; called by `tx.reconcile(kind, id)` after each change that could matter, and by a sweep over `pending` as the net.
 */
export interface Reconciler {
  run(platform: Platform, id: string, signal: AbortSignal): Promise<void>;
  /** Ids that are not final; the sweep calls `run` for each, at start and every minute. */
  pending(platform: Platform): Promise<string[]>;
}

export interface Service {
  readonly name: ServiceName;
  readonly operations: Record<string, Operation>;
  readonly jobs: Record<string, JobHandler>;
  readonly reconcilers: Record<string, Reconciler>;
  /** By `source/detail type`: called at least once with each such event after it was committed, before the user's rules. Must be idempotent. */
  readonly subscriptions: Record<string, JobHandler>;
  /** Folder of `NNN-name.sql` files, run in order, once each; they make the PostgreSQL schema named after the service (`-` becomes `_`). */
  readonly schema: URL | undefined;
  /** How this service words a broken model constraint, where it differs from the common form. */
  readonly validationErrors: ValidationStyle;
  /**
   * Runs once in each process that works (not `--role api`), after start; for leases and adoption. Must return promptly. `signal` says that the
   * process stops; it then waits for the function that start answered, if it did.
   */
  readonly start: ((platform: Platform, signal: AbortSignal) => Promise<void | (() => Promise<void>)>) | undefined;
  /** Runs when a new account is made (also the first), in the same transaction; e.g. the default event bus. */
  readonly accountCreated: ((tx: Transaction, account: string) => Promise<void>) | undefined;
}

/**
 * `named`: the operation's own `<Field>RequiredException` / `Invalid<Field>Exception` where the model has one (CodeCommit, CodeDeploy);
 * else one code for all: ValidationException, or InvalidInputException (CodeBuild), ValidationError (query services).
 */
export type ValidationStyle = 'named' | 'ValidationException' | 'InvalidInputException' | 'ValidationError' | 'InvalidParameterException';

export function defineService(
  name: ServiceName,
  parts: {
    operations: Record<string, Operation>;
    jobs?: Record<string, JobHandler>;
    reconcilers?: Record<string, Reconciler>;
    subscriptions?: Record<string, JobHandler>;
    schema?: URL;
    validationErrors?: ValidationStyle;
    start?: (platform: Platform, signal: AbortSignal) => Promise<void | (() => Promise<void>)>;
    accountCreated?: (tx: Transaction, account: string) => Promise<void>;
  },
): Service {
  const operations: Record<string, Operation> = Object.assign(
    Object.create(null),
    Object.fromEntries(Object.values(parts.operations).map((item) => [item.name, item])),
  );
  for (const item of Object.values(operations)) {
    if (item.service !== name) throw new Error(`Operation ${item.service}:${item.name} is registered by service ${name}.`);
  }
  return {
    name,
    operations,
    jobs: parts.jobs ?? {},
    reconcilers: parts.reconcilers ?? {},
    subscriptions: parts.subscriptions ?? {},
    schema: parts.schema,
    validationErrors: parts.validationErrors ?? 'ValidationException',
    start: parts.start,
    accountCreated: parts.accountCreated,
  };
}
