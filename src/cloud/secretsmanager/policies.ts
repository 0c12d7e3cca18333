/** Policies of secrets: who may use them beside those whose own policies say so. */
import { PolicyError, readPolicy } from '../../platform/policy/document.ts';
import { validatePolicy } from '../../platform/policy/validate.ts';
import { operation, type RequestContext } from '../../platform/service.ts';
import { changeSecret, onSecret, requireSecret, secretArn, secretCheck } from './secret.ts';
import type { Secret } from './tables.ts';

const MAX_POLICY = 20_480;

export const putResourcePolicy = operation('secretsmanager', 'PutResourcePolicy', {
  authorize: ({ SecretId, BlockPublicPolicy = false }, ctx) =>
    secretCheck(ctx, SecretId, { conditions: { 'secretsmanager:BlockPublicPolicy': String(BlockPublicPolicy) } }),
  async handle(ctx, { SecretId, ResourcePolicy, BlockPublicPolicy = false }) {
    const problem = problemOf(ResourcePolicy);
    if (problem) throw ctx.error('MalformedPolicyDocumentException', problem);
    if (BlockPublicPolicy && isPublic(ResourcePolicy)) {
      throw ctx.error(
        'PublicPolicyException',
        'You cannot attach a policy that grants broad access to a secret while public policies are blocked.',
      );
    }
    return named(await setPolicy(ctx, SecretId, ResourcePolicy));
  },
});

export const getResourcePolicy = operation('secretsmanager', 'GetResourcePolicy', {
  authorize: onSecret,
  async handle(ctx, { SecretId }) {
    const secret = await requireSecret(ctx, SecretId);
    return { ...named(secret), ResourcePolicy: secret.policy ?? undefined };
  },
});

export const deleteResourcePolicy = operation('secretsmanager', 'DeleteResourcePolicy', {
  authorize: onSecret,
  handle: async (ctx, { SecretId }) => named(await setPolicy(ctx, SecretId, null)),
});

export const validateResourcePolicy = operation('secretsmanager', 'ValidateResourcePolicy', {
  authorize: ({ SecretId }, ctx) => (SecretId === undefined ? '*' : secretCheck(ctx, SecretId)),
  async handle(_, { ResourcePolicy }) {
    const ErrorMessage = problemOf(ResourcePolicy);
    if (ErrorMessage) return { PolicyValidationPassed: false, ValidationErrors: [{ CheckName: 'POLICY_SYNTAX', ErrorMessage }] };
    if (!isPublic(ResourcePolicy)) return { PolicyValidationPassed: true, ValidationErrors: [] };
    const broad = { CheckName: 'PUBLIC_POLICY', ErrorMessage: 'The policy grants access to everybody.' };
    return { PolicyValidationPassed: false, ValidationErrors: [broad] };
  },
});

/** What is wrong with it; undefined when nothing is. */
function problemOf(text: string): string | undefined {
  if (text.length > MAX_POLICY) return `The policy is longer than ${MAX_POLICY} characters.`;
  try {
    validatePolicy(text, 'resource');
    return undefined;
  } catch (error) {
    if (error instanceof PolicyError) return error.message;
    throw error;
  }
}

/** Whether it lets everybody in without any condition. */
function isPublic(text: string): boolean {
  return readPolicy(text).statements.some(
    ({ effect, principal, notPrincipal, conditions }) =>
      effect === 'Allow' &&
      conditions.length === 0 &&
      (notPrincipal !== undefined || principal === '*' || (typeof principal === 'object' && principal.AWS?.includes('*'))),
  );
}

function setPolicy(ctx: RequestContext, id: string, policy: string | null): Promise<Secret> {
  return changeSecret(ctx, id, async (tx, secret) => {
    await tx.sql.updateTable('secretsmanager.secrets').set({ policy }).where('id', '=', secret.id).execute();
    return secret;
  });
}

function named(secret: Secret): { ARN: string; Name: string } {
  return { ARN: secretArn(secret), Name: secret.name };
}
