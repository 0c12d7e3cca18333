/** The addresses under which strangers find badges and public builds. The first part has two letters, so no bucket has its name. */
import { randomBytes } from 'node:crypto';
import type { Config } from '../../../platform/config.ts';

/** bytes; whoever does not know the link cannot guess it */
const SECRET_BYTES = 32;

export const BADGE_PATH = '/cb/badges';
export const PROJECTS_PATH = '/cb/projects';

export function newLinkSecret(): string {
  return randomBytes(SECRET_BYTES).toString('base64url');
}

/** What a link's secret looks like: anything else need not be looked up. */
export function isLinkSecret(text: unknown): text is string {
  return typeof text === 'string' && /^[\w-]{43}$/.test(text);
}

type Where = Pick<Config, 'publicUrl' | 'endpoints'>;

export function badgeUrl(config: Where, token: string, sourceVersion: string | undefined): string {
  return `${base(config)}${BADGE_PATH}?uuid=${token}&branch=${encodeURIComponent(defaultBranch(sourceVersion))}`;
}

/** A build's page, for as long as its project is public: `CODEBUILD_PUBLIC_BUILD_URL`. */
export function publicBuildUrl(config: Where, alias: string, id: string): string {
  return `${base(config)}${PROJECTS_PATH}/${alias}/builds/${id}`;
}

/** The branch that a project builds when nobody names one. */
export function defaultBranch(sourceVersion: string | undefined): string {
  return sourceVersion?.replace(/^refs\/heads\//, '') ?? 'main';
}

function base({ publicUrl, endpoints }: Where): string {
  return publicUrl ?? endpoints.http;
}
