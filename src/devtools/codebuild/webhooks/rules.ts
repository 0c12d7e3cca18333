/** What a webhook may be, beyond the model. Each broken rule is an InvalidInputException. */
import type { HookScope } from '../providers/hooks.ts';
import { ANY_REPOSITORY, isServerType, type ServerType } from '../providers/provider.ts';
import { invalid } from '../rules.ts';
import type { ProjectDefinition } from '../tables.ts';
import { checkFilters } from './filters.ts';
import type { WebhookDefinition } from './tables.ts';

export function checkWebhook(source: ProjectDefinition['source'], definition: WebhookDefinition): ServerType {
  const { type = 'NO_SOURCE', location } = source ?? {};
  if (definition.buildType === 'RUNNER_BUILDKITE_BUILD')
    throw invalid('Invalid webhook: runners, which buildType RUNNER_BUILDKITE_BUILD is for, are not available in this installation');
  if (!isServerType(type)) throw invalid(`Invalid webhook: webhooks are not supported for projects with source type ${type}`);
  if (definition.manualCreation && !isGitHub(type)) throw invalid('Invalid webhook: manualCreation is only available for GitHub webhooks');
  checkFilters(definition);
  checkScope(type, location, definition.scopeConfiguration);
  return type;
}

function checkScope(type: ServerType, location: string | undefined, scope: WebhookDefinition['scopeConfiguration']): void {
  if (!scope) {
    if (location === ANY_REPOSITORY) throw invalid('Invalid webhook: a project without a repository of its own needs a scopeConfiguration');
    return;
  }
  const { scope: kind, name, domain } = scope;
  if (kind === 'GITHUB_GLOBAL') throw invalid('Invalid webhook: scope GITHUB_GLOBAL is not available in this installation');
  if ((kind === 'GITLAB_GROUP') === isGitHub(type) || type === 'BITBUCKET')
    throw invalid(`Invalid webhook: scope ${kind} is not supported for source type ${type}`);
  if (!name) throw invalid('Invalid webhook: scopeConfiguration needs the name of the organization or group');
  if ((type === 'GITHUB_ENTERPRISE' || type === 'GITLAB_SELF_MANAGED') && !domain)
    throw invalid(`Invalid webhook: scopeConfiguration needs a domain for source type ${type}`);
  if (location !== ANY_REPOSITORY)
    throw invalid(`Invalid webhook: with a scopeConfiguration the project's source location must be ${ANY_REPOSITORY}`);
}

export function scopeOf({ scopeConfiguration: scope }: WebhookDefinition): HookScope {
  if (!scope) return { kind: 'repository' };
  return { kind: scope.scope === 'GITLAB_GROUP' ? 'group' : 'organization', name: scope.name };
}

/** GitHub Enterprise Server mostly cannot be reached from AWS, so CodeBuild tells users what to enter there. */
export function isManual(type: ServerType, definition: WebhookDefinition): boolean {
  return definition.manualCreation === true || type === 'GITHUB_ENTERPRISE';
}

function isGitHub(type: ServerType): boolean {
  return type === 'GITHUB' || type === 'GITHUB_ENTERPRISE';
}
