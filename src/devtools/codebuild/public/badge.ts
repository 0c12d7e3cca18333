/** Build badges: the state of a branch's last build as a small picture, for whoever has the link. */
import { sql } from 'kysely';
import type { Platform } from '../../../platform/platform.ts';
import type { BuildRow, ProjectRow } from '../tables.ts';
import { defaultBranch, isLinkSecret } from './links.ts';

/** CodeBuild user guide, "CodeBuild badge statuses". */
export type BadgeState = 'passing' | 'failing' | 'in progress' | 'unknown';

/** How far back a branch is looked for: who asks may be anybody, so the work is bounded. */
const BUILDS_LOOKED_AT = 1_000;
/** git names no longer reference in practice */
const MAX_BRANCH = 1_024;
/** A project that names no version builds its repository's default branch, which is called one of these unless somebody chose otherwise. */
const USUAL_DEFAULTS = ['main', 'master'];

/** Undefined when the link is none of ours. Without a branch the last build of any counts. */
export async function badgeState(platform: Platform, token: unknown, branch: unknown): Promise<BadgeState | undefined> {
  if (!isLinkSecret(token)) return undefined;
  const project = await platform.read.selectFrom('codebuild.projects').selectAll().where('badge_token', '=', token).executeTakeFirst();
  if (!project) return undefined;
  if (!project.definition.badge?.badgeEnabled) return 'unknown';
  if (branch === undefined || branch === '') return stateOf(await lastBuild(platform, project, undefined));
  if (typeof branch !== 'string' || branch.length > MAX_BRANCH || branch.includes('\0')) return 'unknown';
  return stateOf(await lastBuild(platform, project, branch));
}

async function lastBuild({ read }: Platform, project: ProjectRow, branch: string | undefined): Promise<BuildRow['status'] | undefined> {
  const { sourceVersion } = project.definition;
  const defaults = sourceVersion === undefined ? USUAL_DEFAULTS : [defaultBranch(sourceVersion)];
  const recent = read
    .selectFrom('codebuild.builds')
    .select(['status', 'build_order', sql<string | null>`definition->>'sourceVersion'`.as('version')])
    .where('account', '=', project.account)
    .where('region', '=', project.region)
    .where('project', '=', project.name)
    .where('project_id', '=', project.id)
    .orderBy('build_order', 'desc')
    .limit(BUILDS_LOOKED_AT);
  let query = read.selectFrom(recent.as('recent')).select('status').orderBy('build_order', 'desc').limit(1);
  if (branch !== undefined) {
    query = query.where((eb) => {
      const named = eb('version', 'in', [branch, `refs/heads/${branch}`]);
      return defaults.includes(branch) ? eb.or([named, eb('version', 'is', null)]) : named;
    });
  }
  return (await query.executeTakeFirst())?.status;
}

function stateOf(status: BuildRow['status'] | undefined): BadgeState {
  switch (status) {
    case undefined:
      return 'unknown';
    case 'SUCCEEDED':
      return 'passing';
    case 'IN_PROGRESS':
      return 'in progress';
    default:
      return 'failing';
  }
}

const LABEL = 'build';
const COLOURS: Record<BadgeState, string> = { passing: '#2e7d32', failing: '#c62828', 'in progress': '#1565c0', unknown: '#757575' };
/** pixels; Verdana at 11 pixels is about this wide */
const LETTER = 7;
const MARGIN = 10;
const HEIGHT = 20;

/** Nothing of the project's or the caller's own texts is in it. */
export function drawBadge(state: BadgeState): string {
  const left = LABEL.length * LETTER + MARGIN;
  const right = state.length * LETTER + MARGIN;
  const text = (word: string, centre: number) => `<text x="${centre}" y="14" text-anchor="middle" fill="#fff">${word}</text>`;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${left + right}" height="${HEIGHT}" role="img" aria-label="${LABEL}: ${state}">` +
    `<title>${LABEL}: ${state}</title>` +
    `<rect width="${left}" height="${HEIGHT}" fill="#444"/>` +
    `<rect x="${left}" width="${right}" height="${HEIGHT}" fill="${COLOURS[state]}"/>` +
    `<g font-family="Verdana,Geneva,DejaVu Sans,sans-serif" font-size="11">${text(LABEL, left / 2)}${text(state, left + right / 2)}</g></svg>`
  );
}
