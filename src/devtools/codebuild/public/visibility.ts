/** UpdateProjectVisibility: whether everybody may look at a project's builds. */
import { operation } from '../../../platform/service.ts';
import { projectArn, projectNameOf } from '../names.ts';
import { onProject } from '../projects.ts';
import { checkServiceRole } from '../service-role.ts';
import { lockProject } from '../start-build.ts';
import { newLinkSecret } from './links.ts';

export const updateProjectVisibility = operation('codebuild', 'UpdateProjectVisibility', {
  authorize: ({ projectArn: arn }, ctx) => onProject(ctx, arn),
  async handle(ctx, { projectArn: given, projectVisibility, resourceAccessRole }) {
    const name = projectNameOf(ctx, given);
    if (resourceAccessRole !== undefined) await checkServiceRole(ctx, resourceAccessRole);
    const publicProjectAlias = await ctx.transaction(async (tx) => {
      const project = await lockProject(tx, ctx, name);
      const isPublic = projectVisibility === 'PUBLIC_READ';
      // Links that were published work again when the project is made public again.
      const alias = project.public_alias ?? (isPublic ? newLinkSecret() : null);
      const definition = {
        ...project.definition,
        projectVisibility,
        publicProjectAlias: isPublic ? (alias ?? undefined) : undefined,
        resourceAccessRole: resourceAccessRole ?? project.definition.resourceAccessRole,
      };
      await tx.sql
        .updateTable('codebuild.projects')
        .set({ definition: JSON.stringify(definition), public_alias: alias, modified_at: ctx.now() })
        .where('id', '=', project.id)
        .execute();
      return definition.publicProjectAlias;
    });
    return { projectArn: projectArn(ctx, name), publicProjectAlias, projectVisibility };
  },
});
