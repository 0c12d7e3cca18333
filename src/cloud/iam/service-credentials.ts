/** Service-specific credentials: user name and password for git over HTTPS. The password is told once and kept only as a hash. */
import { newUniqueId } from '../../platform/access-key.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Transaction } from '../../platform/platform.ts';
import { operation } from '../../platform/service.ts';
import { changeEntity, type Entity, onUser, requireEntity, userNameOf } from './entities.ts';
import { quotaExceeded } from './errors.ts';
import { pageOfAll } from './paging.ts';
import { hashPassword, newPassword } from './secrets.ts';

const MAX_PER_SERVICE = 2;
const CODECOMMIT = 'codecommit.amazonaws.com';
const DAY_MS = 86_400_000;

const createServiceSpecificCredential = operation('iam', 'CreateServiceSpecificCredential', {
  authorize: onUser,
  async handle(ctx, { UserName, ServiceName, CredentialAgeDays }) {
    requireSupported(ServiceName);
    const password = newPassword();
    const created_at = ctx.now();
    const row = await changeEntity(ctx, 'user', UserName, async (tx, user) => {
      const existing = await credentialsOf(tx, user, ServiceName);
      if (existing.length >= MAX_PER_SERVICE) throw quotaExceeded('ServiceSpecificCredentialsPerUser', MAX_PER_SERVICE);
      const made = {
        id: newUniqueId('ACCA'),
        user_id: user.id,
        service: ServiceName,
        user_name: await freeUserName(tx, user),
        password_hash: hashPassword(ctx.keyring, password),
        active: true,
        created_at,
        expires_at: CredentialAgeDays === undefined ? null : new Date(created_at.getTime() + CredentialAgeDays * DAY_MS),
      };
      await tx.sql.insertInto('iam.service_credentials').values(made).execute();
      return { ...made, owner: user.name };
    });
    return { ServiceSpecificCredential: { ...describe(row, row.owner), ServicePassword: password } };
  },
});

const listServiceSpecificCredentials = operation('iam', 'ListServiceSpecificCredentials', {
  authorize: (input, ctx) => (input.AllUsers ? '*' : onUser(input, ctx)),
  async handle(ctx, input) {
    if (input.ServiceName !== undefined) requireSupported(input.ServiceName);
    const user = input.AllUsers ? undefined : await requireEntity(ctx, 'user', userNameOf(ctx, input.UserName));
    let query = ctx.read
      .selectFrom('iam.service_credentials as credential')
      .innerJoin('iam.entities as user', 'user.id', 'credential.user_id')
      .selectAll('credential')
      .select('user.name as owner')
      .where('user.account', '=', ctx.account);
    if (user) query = query.where('user.id', '=', user.id);
    if (input.ServiceName) query = query.where('service', '=', input.ServiceName);
    const scope = `credentials:${user?.id ?? '*'}:${input.ServiceName ?? ''}`;
    const { items, ...page } = pageOfAll(ctx, scope, input, await query.execute(), (row) => row.id);
    return { ServiceSpecificCredentials: items.map((row) => describe(row, row.owner)), ...page };
  },
});

const updateServiceSpecificCredential = operation('iam', 'UpdateServiceSpecificCredential', {
  authorize: onUser,
  async handle(ctx, { UserName, ServiceSpecificCredentialId, Status }) {
    await changeCredential(ctx, UserName, ServiceSpecificCredentialId, (tx) =>
      tx.sql
        .updateTable('iam.service_credentials')
        .set({ active: Status === 'Active' })
        .where('id', '=', ServiceSpecificCredentialId)
        .execute(),
    );
    return {};
  },
});

const resetServiceSpecificCredential = operation('iam', 'ResetServiceSpecificCredential', {
  authorize: onUser,
  async handle(ctx, { UserName, ServiceSpecificCredentialId }) {
    const password = newPassword();
    const { row, owner } = await changeCredential(ctx, UserName, ServiceSpecificCredentialId, (tx) =>
      tx.sql
        .updateTable('iam.service_credentials')
        .set({ password_hash: hashPassword(ctx.keyring, password) })
        .where('id', '=', ServiceSpecificCredentialId)
        .execute(),
    );
    return { ServiceSpecificCredential: { ...describe(row, owner), ServicePassword: password } };
  },
});

const deleteServiceSpecificCredential = operation('iam', 'DeleteServiceSpecificCredential', {
  authorize: onUser,
  async handle(ctx, { UserName, ServiceSpecificCredentialId }) {
    await changeCredential(ctx, UserName, ServiceSpecificCredentialId, (tx) =>
      tx.sql.deleteFrom('iam.service_credentials').where('id', '=', ServiceSpecificCredentialId).execute(),
    );
    return {};
  },
});

function requireSupported(service: string): void {
  if (service === CODECOMMIT) return;
  throw new AwsError('NotSupportedService', `No such service ${service} is supported for Service Specific Credentials`);
}

interface Credential {
  id: string;
  service: string;
  user_name: string;
  active: boolean;
  created_at: Date;
  expires_at: Date | null;
}

/** Throws NoSuchEntity unless the credential is the user's own; the row is as it was before the change. */
function changeCredential(
  ctx: Parameters<typeof changeEntity>[0],
  userName: string | undefined,
  id: string,
  change: (tx: Transaction) => Promise<unknown>,
): Promise<{ row: Credential; owner: string }> {
  return changeEntity(ctx, 'user', userNameOf(ctx, userName), async (tx, user) => {
    const row = (await credentialsOf(tx, user)).find((credential) => credential.id === id);
    if (!row) throw new AwsError('NoSuchEntity', `No such credential ${id} exists`);
    await change(tx);
    return { row, owner: user.name };
  });
}

function credentialsOf(tx: Transaction, user: Entity, service?: string): Promise<Credential[]> {
  const query = tx.sql.selectFrom('iam.service_credentials').selectAll().where('user_id', '=', user.id);
  return (service === undefined ? query : query.where('service', '=', service)).execute();
}

/** `alice-at-123456789012`, the next one `alice+1-at-123456789012`. */
async function freeUserName(tx: Transaction, user: Entity): Promise<string> {
  for (let number = 0; ; number++) {
    const name = `${user.name}${number === 0 ? '' : `+${number}`}-at-${user.account}`;
    const taken = await tx.sql.selectFrom('iam.service_credentials').select('id').where('user_name', '=', name).executeTakeFirst();
    if (!taken) return name;
  }
}

function describe(row: Credential, owner: string) {
  return {
    CreateDate: row.created_at,
    ExpirationDate: row.expires_at ?? undefined,
    ServiceName: row.service,
    ServiceUserName: row.user_name,
    ServiceSpecificCredentialId: row.id,
    UserName: owner,
    Status: row.active ? ('Active' as const) : ('Inactive' as const),
  };
}

export const serviceCredentials = {
  createServiceSpecificCredential,
  listServiceSpecificCredentials,
  updateServiceSpecificCredential,
  resetServiceSpecificCredential,
  deleteServiceSpecificCredential,
};
