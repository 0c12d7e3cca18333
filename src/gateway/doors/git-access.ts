/** One access of git to a repository, the same for all doors: who asks, where, whether it is allowed, what a push may change. */
import { randomUUID } from 'node:crypto';
import { availableParallelism } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { pushRules } from '../../devtools/codecommit/push.ts';
import type { Repository } from '../../devtools/codecommit/repository.ts';
import { lookUpEverywhere, repositoryArn, repositoryMissing } from '../../devtools/codecommit/repository.ts';
import type { PushRules } from '../../git/receive.ts';
import { receivePush } from '../../git/receive.ts';
import { gitStore } from '../../git/store.ts';
import { Turns } from '../../git/turns.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Principal } from '../../platform/principal.ts';
import type { Check, RequestContext } from '../../platform/service.ts';
import type { Gateway } from '../exchange.ts';
import { GitRate } from './git-rate.ts';
import type { GitRecord } from './git-record.ts';
import { recordGit } from './git-record.ts';

/** Fetches and pushes at once in this process; others wait for their turn. Many, since one of a slow client does next to nothing. */
export const turns = new Turns(Math.max(32, availableParallelism() * 8));
/** A connection over which nothing moves for so long is dead: git itself says something every five seconds. */
export const SILENCE_MS = 10 * 60_000;

export interface GitCaller {
  context: RequestContext;
  /** AccessDenied when the policies do not allow it. */
  authorize(check: Check & { action: string }): Promise<void>;
  may(check: Check & { action: string }): Promise<boolean>;
}

export interface GitAccess {
  gateway: Gateway;
  protocol: GitRecord['protocol'];
  action: GitRecord['action'];
  caller: GitCaller;
  repositoryName: string;
  /** As it was found before anything was asked. */
  found: Repository | undefined;
  /** Set by whoever moves objects or references. */
  dataTransferred: boolean;
  references: GitRecord['references'];
  /** Set once it is told: a push is told before its client hears how it went, and only once. */
  recorded?: true;
}

/** The regions that a request may mean, likeliest first, and the repositories of this name: nothing in git's requests tells the region. */
export async function findRepositories(gateway: Gateway, principal: Principal, name: string, likely: string[] = []) {
  const found = await lookUpEverywhere(gateway.platform, principal.account, name);
  const repositories = new Map(found.map((repository) => [repository.region, repository]));
  const regions = [...new Set([...likely, gateway.platform.config.region, ...repositories.keys()])];
  return { regions, repositories };
}

/** For a credential that is good in all regions: where the repository is. */
export async function findRepository(gateway: Gateway, principal: Principal, name: string, likely?: string[]) {
  const { regions, repositories } = await findRepositories(gateway, principal, name, likely);
  const region = regions.find((each) => repositories.has(each)) ?? regions[0]!;
  return { region, repository: repositories.get(region) };
}

export function createCaller(
  { platform, access }: Gateway,
  principal: Principal,
  region: string,
  origin: { sourceIp: string; userAgent: string },
): GitCaller {
  const authorize = (check: Check & { action: string }) => access.authorize(context, check);
  const context: RequestContext = {
    ...platform,
    account: principal.account,
    region,
    principal,
    requestId: randomUUID(),
    ...origin,
    authorize: async (checks) => {
      for (const check of Array.isArray(checks) ? checks : [checks])
        await authorize({ ...check, action: check.action ?? 'codecommit:GitPull' });
    },
  };
  return {
    context,
    authorize,
    may: (check) =>
      authorize(check).then(
        () => true,
        (error) => {
          if (error instanceof AwsError) return false;
          throw error;
        },
      ),
  };
}

/**
 * Does `work` if the caller may; records the access however it ends. Throws AccessDenied, RepositoryDoesNotExist, or `Rate Exceeded` when there
 * is nothing to do.
 */
export async function withAccess<T>(access: GitAccess, work: (repository: Repository) => Promise<T>): Promise<T> {
  const startedAt = new Date();
  try {
    const { caller, found, repositoryName } = access;
    rateOf(access.gateway).take(caller.context.principal.arn);
    await caller.authorize({
      action: `codecommit:${access.action}`,
      resource: repositoryArn(caller.context, repositoryName),
      resourceTags: found?.tags,
    });
    if (!found) throw repositoryMissing(repositoryName);
    const result = await work(found);
    await record(access, startedAt, undefined);
    return result;
  } catch (error) {
    await record(access, startedAt, error as Error);
    throw error;
  }
}

const rates = new WeakMap<object, GitRate>();

function rateOf({ platform }: Gateway): GitRate {
  let rate = rates.get(platform);
  if (!rate) {
    rate = new GitRate(platform.config.gitRate);
    rates.set(platform, rate);
  }
  return rate;
}

async function record(access: GitAccess, startedAt: Date, error: Error | undefined): Promise<void> {
  if (access.recorded) return;
  access.recorded = true;
  const { action, protocol, repositoryName, found, dataTransferred, references } = access;
  const { principal, region, requestId, sourceIp, userAgent } = access.caller.context;
  const told = { action, protocol, repositoryName, repositoryId: found?.id, dataTransferred, references };
  await recordGit(access.gateway, { ...told, principal, region, requestId, sourceIp, userAgent, startedAt, endedAt: new Date(), error });
}

/** Answers git-receive-pack from where the client tells its commands. The repository must be open (`openRepository`). */
export async function takePush(
  access: GitAccess,
  repository: Repository,
  streams: { input: Readable; output: Writable; signal: AbortSignal },
): Promise<void> {
  const { platform } = access.gateway;
  const startedAt = new Date();
  access.dataTransferred = true;
  const push = { repository: repository.id, empty: repository.default_branch === null, ...streams };
  await receivePush(gitStore(platform), push, rulesOf(access, repository, startedAt));
}

function rulesOf(access: GitAccess, repository: Repository, startedAt: Date): PushRules {
  const { caller, references } = access;
  const resource = repositoryArn(caller.context, repository.name);
  const rules = pushRules(access.gateway.platform, repository, {
    arn: caller.context.principal.arn,
    mayPush: (reference) =>
      caller.may({
        action: 'codecommit:GitPush',
        resource,
        resourceTags: repository.tags,
        conditions: { 'codecommit:References': reference },
      }),
  });
  return {
    announce: rules.announce,
    async authorize(names) {
      const denied = await rules.authorize(names);
      for (const [ref, error] of denied) references.push({ ref, commit: undefined, error });
      return denied;
    },
    async commit(changes, options) {
      const results = await rules.commit(changes, options);
      const ids = new Map(changes.map(({ name, newId }) => [name, newId]));
      for (const { name, error } of results) references.push({ ref: name, commit: ids.get(name), error });
      await record(access, startedAt, undefined);
      return results;
    },
  };
}
