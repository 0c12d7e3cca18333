import type { Principal } from '../../platform/principal.ts';
import type { StartRequest } from './tables.ts';

/**
 * Who started a build, as CodeBuild shows it: a user's name, `role/session`, `rule/<name>` for EventBridge, `codepipeline/<pipeline>`.
 * CodePipeline acts in a session named after its pipeline, and it alone gives artifacts of type CODEPIPELINE.
 */
export function initiatorOf(principal: Principal, request: StartRequest): string {
  const pipeline =
    request.artifactsOverride?.type === 'CODEPIPELINE' || request.secondaryArtifactsOverride?.some(({ type }) => type === 'CODEPIPELINE');
  switch (principal.type) {
    case 'Root':
      return 'root';
    case 'User':
      return principal.name;
    case 'AssumedRole':
      return pipeline ? `codepipeline/${principal.sessionName}` : `${principal.roleName}/${principal.sessionName}`;
    case 'Service':
      return principal.service;
  }
}
