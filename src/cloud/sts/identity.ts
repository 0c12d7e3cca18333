/** Who am I, whose key is this, and temporary credentials for oneself. */
import { accountOfAccessKey } from '../../platform/access-key.ts';
import { AwsError } from '../../platform/errors.ts';
import { operation } from '../../platform/service.ts';
import { issueSession } from '../../platform/session-token.ts';
import { accessDenied, refuseMultiFactor, validationError } from './errors.ts';

const DEFAULT_SECONDS = 43_200;
const ROOT_MAX_SECONDS = 3600;

/** Answers to everybody who can sign: nothing needs to be allowed, and nothing can deny it. */
const getCallerIdentity = operation('sts', 'GetCallerIdentity', {
  authorize: 'none',
  handle: async (ctx) => ({ UserId: ctx.principal.id, Account: ctx.principal.account, Arn: ctx.principal.arn }),
});

const getAccessKeyInfo = operation('sts', 'GetAccessKeyInfo', {
  authorize: () => '*',
  async handle(_, { AccessKeyId }) {
    const account = accountOfAccessKey(AccessKeyId);
    if (account === undefined) throw validationError(`The access key id ${AccessKeyId} is not valid.`);
    return { Account: account };
  },
});

/** Authentication, which policies do not control: the session may do what the user may, but nothing in IAM. */
const getSessionToken = operation('sts', 'GetSessionToken', {
  authorize: 'none',
  async handle(ctx, { DurationSeconds = DEFAULT_SECONDS, SerialNumber, TokenCode }) {
    const { principal } = ctx;
    if (principal.type === 'AssumedRole' || (principal.type === 'User' && principal.session)) {
      throw accessDenied('Cannot call GetSessionToken with session credentials');
    }
    if (principal.type === 'Service') throw new AwsError('AccessDeniedException', 'Services have no session tokens of their own.');
    refuseMultiFactor(SerialNumber, TokenCode);
    const seconds = principal.type === 'Root' ? Math.min(DurationSeconds, ROOT_MAX_SECONDS) : DurationSeconds;
    const issuedAt = ctx.now().getTime();
    const expiresAt = issuedAt + seconds * 1000;
    const { accessKeyId, secretAccessKey, sessionToken } = issueSession(ctx.keyring, {
      account: principal.account,
      id: principal.id,
      arn: principal.arn,
      issuedAt,
      expiresAt,
    });
    return {
      Credentials: {
        AccessKeyId: accessKeyId,
        SecretAccessKey: secretAccessKey,
        SessionToken: sessionToken,
        Expiration: new Date(expiresAt),
      },
    };
  },
});

export const identity = { getCallerIdentity, getAccessKeyInfo, getSessionToken };
