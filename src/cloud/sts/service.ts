/** AWS Security Token Service. It keeps nothing: roles are IAM's, and a session is all in its token. */
import { defineService } from '../../platform/service.ts';
import { assumeRole } from './assume-role.ts';
import { identity } from './identity.ts';
import { assumeRoleWithWebIdentity } from './web-identity.ts';

export const sts = defineService('sts', {
  operations: { ...identity, assumeRole, assumeRoleWithWebIdentity },
  validationErrors: 'ValidationError',
});
