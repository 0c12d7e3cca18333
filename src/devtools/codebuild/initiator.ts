import type { RequestContext } from '../../platform/service.ts';

/**
 * Who started a build, as CodeBuild shows it: a user's name, `role/session`, and for the services that act inside Penstock in a session
 * named after what they act for, `codepipeline/<pipeline>` and `rule/<rule>`.
 */
export function initiatorOf({ principal, http, userAgent }: RequestContext): string {
  switch (principal.type) {
    case 'Root':
      return 'root';
    case 'User':
      return principal.name;
    case 'AssumedRole':
      if (!http && userAgent === 'codepipeline.amazonaws.com') return `codepipeline/${principal.sessionName}`;
      if (!http && userAgent === 'events.amazonaws.com') return `rule/${principal.sessionName}`;
      return `${principal.roleName}/${principal.sessionName}`;
    case 'Service':
    case 'WebIdentity':
      return principal.id;
  }
}
