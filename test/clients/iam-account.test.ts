/** What belongs to an account as a whole, and passwords. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  ChangePasswordCommand,
  CreateAccessKeyCommand,
  CreateAccountAliasCommand,
  CreateInstanceProfileCommand,
  CreateLoginProfileCommand,
  CreateUserCommand,
  DeleteAccountAliasCommand,
  DeleteAccountPasswordPolicyCommand,
  DeleteLoginProfileCommand,
  DeleteUserCommand,
  GetAccountPasswordPolicyCommand,
  GetAccountSummaryCommand,
  GetInstanceProfileCommand,
  GetLoginProfileCommand,
  IAMClient,
  ListAccountAliasesCommand,
  ListInstanceProfileTagsCommand,
  TagInstanceProfileCommand,
  UntagInstanceProfileCommand,
  UpdateAccountPasswordPolicyCommand,
  UpdateLoginProfileCommand,
} from '@aws-sdk/client-iam';
import { refused } from '../support/refused.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let iam: IAMClient;

before(async () => {
  server = await startServer();
  iam = new IAMClient(server.client);
});
after(async () => {
  iam?.destroy();
  await server?.stop();
});

async function userWithKey(UserName: string): Promise<IAMClient> {
  await iam.send(new CreateUserCommand({ UserName }));
  const { AccessKey: key } = await iam.send(new CreateAccessKeyCommand({ UserName }));
  return new IAMClient({ ...server.client, credentials: { accessKeyId: key!.AccessKeyId!, secretAccessKey: key!.SecretAccessKey! } });
}

describe('login profiles', () => {
  it('are made, changed and deleted, and keep their user from being deleted', async () => {
    const UserName = 'paula';
    await iam.send(new CreateUserCommand({ UserName }));
    await refused(
      iam.send(new GetLoginProfileCommand({ UserName })),
      'NoSuchEntityException',
      'Login Profile for User paula cannot be found.',
      404,
    );
    const made = await iam.send(new CreateLoginProfileCommand({ UserName, Password: 'Correct-Horse-1', PasswordResetRequired: true }));
    assert.equal(made.LoginProfile!.PasswordResetRequired, true);
    const again = new CreateLoginProfileCommand({ UserName, Password: 'Correct-Horse-1' });
    await refused(iam.send(again), 'EntityAlreadyExistsException', 'Login Profile for user paula already exists.', 409);
    await iam.send(new UpdateLoginProfileCommand({ UserName, PasswordResetRequired: false }));
    assert.equal((await iam.send(new GetLoginProfileCommand({ UserName }))).LoginProfile!.PasswordResetRequired, false);
    const conflict = 'Cannot delete entity, must delete login profile first.';
    await refused(iam.send(new DeleteUserCommand({ UserName })), 'DeleteConflictException', conflict);
    await iam.send(new DeleteLoginProfileCommand({ UserName }));
    await iam.send(new DeleteUserCommand({ UserName }));
  });

  it('hold to the rules for passwords', async () => {
    const UserName = 'peter';
    await iam.send(new CreateUserCommand({ UserName }));
    const weak = (Password: string) =>
      refused(iam.send(new CreateLoginProfileCommand({ UserName, Password })), 'PasswordPolicyViolationException', undefined, 400);
    await weak('Sh0rt!');
    await weak('onlylowercase');
    const none = `The Password Policy with domain name ${server.account} cannot be found.`;
    await refused(iam.send(new GetAccountPasswordPolicyCommand({})), 'NoSuchEntityException', none);
    await iam.send(new UpdateAccountPasswordPolicyCommand({ MinimumPasswordLength: 12, RequireSymbols: true, MaxPasswordAge: 90 }));
    const { PasswordPolicy: policy } = await iam.send(new GetAccountPasswordPolicyCommand({}));
    assert.equal(policy!.MinimumPasswordLength, 12);
    assert.equal(policy!.RequireNumbers, false);
    assert.equal(policy!.ExpirePasswords, true);
    await weak('NoSymbolsAtAll99');
    await iam.send(new CreateLoginProfileCommand({ UserName, Password: 'with-symbols-in-it' }));
    await iam.send(new DeleteAccountPasswordPolicyCommand({}));
    await refused(iam.send(new DeleteAccountPasswordPolicyCommand({})), 'NoSuchEntityException', none);
  });

  it('let users change their own passwords, but not back, where the account says so', async () => {
    const UserName = 'mona';
    const mona = await userWithKey(UserName);
    await iam.send(new CreateLoginProfileCommand({ UserName, Password: 'First-Password-1' }));
    const change = (OldPassword: string, NewPassword: string) => mona.send(new ChangePasswordCommand({ OldPassword, NewPassword }));
    await refused(change('First-Password-1', 'Second-Password-2'), 'AccessDenied', /not authorized to perform: iam:ChangePassword/, 403);
    await iam.send(new UpdateAccountPasswordPolicyCommand({ AllowUsersToChangePassword: true, PasswordReusePrevention: 2 }));
    await refused(change('wrong', 'Second-Password-2'), 'AccessDenied', 'The old password was incorrect.');
    await change('First-Password-1', 'Second-Password-2');
    await refused(change('Second-Password-2', 'First-Password-1'), 'PasswordPolicyViolationException', 'Password has been used previously');
    await change('Second-Password-2', 'Third-Password-3');
    await change('Third-Password-3', 'First-Password-1');
    await iam.send(new DeleteAccountPasswordPolicyCommand({}));
    mona.destroy();
  });
});

describe('an account', () => {
  it('has one alias, which no other account can take', async () => {
    const aliases = async () => (await iam.send(new ListAccountAliasesCommand({}))).AccountAliases;
    assert.deepEqual(await aliases(), []);
    await iam.send(new CreateAccountAliasCommand({ AccountAlias: 'our-team' }));
    await iam.send(new CreateAccountAliasCommand({ AccountAlias: 'our-company' }));
    assert.deepEqual(await aliases(), ['our-company']);
    const taken = new CreateAccountAliasCommand({ AccountAlias: 'our-company' });
    await refused(iam.send(taken), 'EntityAlreadyExistsException', 'The account alias our-company already exists.');
    await refused(iam.send(new CreateAccountAliasCommand({ AccountAlias: 'Not--Valid' })), 'ValidationError');
    await iam.send(new DeleteAccountAliasCommand({ AccountAlias: 'our-company' }));
    await refused(iam.send(new DeleteAccountAliasCommand({ AccountAlias: 'our-company' })), 'NoSuchEntityException');
  });

  it('tells how much it has', async () => {
    const users = async () => (await iam.send(new GetAccountSummaryCommand({}))).SummaryMap!;
    const { Users, UsersQuota } = await users();
    await iam.send(new CreateUserCommand({ UserName: 'counted' }));
    assert.equal((await users()).Users, Users! + 1);
    assert.equal(UsersQuota, 5000);
  });

  it('tags its instance profiles', async () => {
    const InstanceProfileName = 'web';
    await iam.send(new CreateInstanceProfileCommand({ InstanceProfileName, Tags: [{ Key: 'a', Value: '1' }] }));
    await iam.send(new TagInstanceProfileCommand({ InstanceProfileName, Tags: [{ Key: 'b', Value: '2' }] }));
    await iam.send(new UntagInstanceProfileCommand({ InstanceProfileName, TagKeys: ['a'] }));
    assert.deepEqual((await iam.send(new ListInstanceProfileTagsCommand({ InstanceProfileName }))).Tags, [{ Key: 'b', Value: '2' }]);
    const { InstanceProfile: profile } = await iam.send(new GetInstanceProfileCommand({ InstanceProfileName }));
    assert.deepEqual(profile!.Tags, [{ Key: 'b', Value: '2' }]);
  });
});
