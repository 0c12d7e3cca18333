import type { FastifyReply, FastifyRequest } from 'fastify';
import { badgeState, drawBadge } from '../../devtools/codebuild/public/badge.ts';
import { BADGE_PATH, PROJECTS_PATH } from '../../devtools/codebuild/public/links.ts';
import {
  findPublicBuild,
  findPublicProject,
  listPublicBuilds,
  publicArtifact,
  publicLog,
} from '../../devtools/codebuild/public/public-builds.ts';
import { asStream } from '../../devtools/codebuild/sources/s3.ts';
import type { BuildRow, ProjectRow } from '../../devtools/codebuild/tables.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Door } from './index.ts';

type Query = Record<string, unknown>;
interface Asked {
  Params: { alias: string; id: string };
  Querystring: Query;
}

/** What users' builds wrote must not be taken for a page of ours, nor for one at all. */
const HARMLESS = { 'x-content-type-options': 'nosniff', 'content-security-policy': "default-src 'none'; sandbox" };
/** A picture on somebody's page must show the last build, not the one before. */
const NOT_KEPT = { 'cache-control': 'no-cache, no-store, must-revalidate, max-age=0', expires: '0', pragma: 'no-cache' };

/**
 * What of CodeBuild is open to everybody who has the link, which nobody can guess: badges, and the builds of public projects. Reads only:
 * - `GET /cb/badges?uuid=TOKEN[&branch=B]`: SVG;
 * - `GET /cb/projects/ALIAS[?nextToken=T]`, `…/builds/ID`: JSON;
 * - `GET …/builds/ID/log` (text) and `…/builds/ID/artifact`, as far as the project's resourceAccessRole may read them.
 */
export const codebuildPublic: Door = (app, { platform }) => {
  app.get<Asked>(BADGE_PATH, async (request, reply) => {
    const { uuid, branch } = request.query;
    const state = await badgeState(platform, uuid, branch);
    if (!state) return notFound(reply, 'There is no such badge.');
    return reply
      .headers({ ...HARMLESS, ...NOT_KEPT })
      .type('image/svg+xml')
      .send(drawBadge(state));
  });

  const project = (path: string, answer: (found: ProjectRow, request: FastifyRequest<Asked>, reply: FastifyReply) => Promise<unknown>) =>
    app.get<Asked>(`${PROJECTS_PATH}/:alias${path}`, async (request, reply) => {
      const found = await findPublicProject(platform, request.params.alias);
      if (!found) return notFound(reply, 'There is no such public project.');
      reply.headers({ ...HARMLESS, ...NOT_KEPT });
      return answer(found, request as FastifyRequest<Asked>, reply);
    });

  project('', async (found, request, reply) => {
    const page = await listPublicBuilds(platform, found, request.query.nextToken);
    if (page === 'bad-token') return reply.code(400).send({ code: 'InvalidInputException', message: 'Invalid next token provided' });
    return reply.send({ project: found.name, ...page });
  });

  const build = (path: string, answer: (of: ProjectRow, row: BuildRow, reply: FastifyReply) => Promise<unknown>) =>
    project(`/builds/:id${path}`, async (found, request, reply) => {
      const one = await findPublicBuild(platform, found, request.params.id);
      if (!one) return notFound(reply, 'There is no such build.');
      try {
        return await answer(found, one.row, reply);
      } catch (error) {
        if (!(error instanceof AwsError)) throw error;
        // Which role may not read what is the owner's business alone.
        platform.log.info({ build: one.row.id, error: error.message }, 'a public build could not be read as its resourceAccessRole');
        return notFound(reply, 'The owner of this project does not let it be read.');
      }
    });

  project('/builds/:id', async (found, request, reply) => {
    const one = await findPublicBuild(platform, found, request.params.id);
    return one ? reply.send({ project: found.name, build: one.build }) : notFound(reply, 'There is no such build.');
  });

  build('/log', async (found, row, reply) => {
    const log = await publicLog(platform, found, row);
    return log ? reply.type('text/plain; charset=utf-8').send(log) : notFound(reply, 'This build has no log that everybody may read.');
  });

  build('/artifact', async (found, row, reply) => {
    const artifact = await publicArtifact(platform, found, row);
    if (!artifact) return notFound(reply, 'This build has no artifact that everybody may read.');
    return reply
      .type('application/octet-stream')
      .header('content-disposition', `attachment; filename*=UTF-8''${encodeURIComponent(artifact.name)}`)
      .send(asStream(artifact.body));
  });
};

function notFound(reply: FastifyReply, message: string): FastifyReply {
  return reply.code(404).send({ code: 'NotFound', message });
}
