/** AWS Identity and Access Management. */
import { defineService } from '../../platform/service.ts';
import { accessKeys } from './access-keys.ts';
import { accountSettings } from './account-settings.ts';
import { attachments } from './attachments.ts';
import { entityTags } from './entity-tags.ts';
import { groups } from './groups.ts';
import { inlinePolicies } from './inline-policies.ts';
import { instanceProfiles } from './instance-profiles.ts';
import { loginProfiles } from './login-profiles.ts';
import { managedPolicies } from './managed-policies.ts';
import { oidcProviders } from './oidc-providers.ts';
import { policyVersions } from './policy-versions.ts';
import { roles } from './roles.ts';
import { serviceCredentials } from './service-credentials.ts';
import { serviceLinkedRoles } from './service-linked-roles.ts';
import { simulation } from './simulation/index.ts';
import { sshKeys } from './ssh-keys.ts';
import { users } from './users.ts';

export const iam = defineService('iam', {
  operations: {
    ...users,
    ...groups,
    ...roles,
    ...serviceLinkedRoles,
    ...entityTags,
    ...managedPolicies,
    ...policyVersions,
    ...attachments,
    ...inlinePolicies,
    ...instanceProfiles,
    ...accessKeys,
    ...loginProfiles,
    ...accountSettings,
    ...oidcProviders,
    ...simulation,
    ...serviceCredentials,
    ...sshKeys,
  },
  schema: new URL('./schema/', import.meta.url),
  validationErrors: 'ValidationError',
});
