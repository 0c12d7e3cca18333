/** Nobody gets messages who has not agreed: a token goes to the endpoint, and comes back with ConfirmSubscription. */
import { sql } from 'kysely';
import { AwsError } from '../../platform/errors.ts';
import type { Platform, Transaction } from '../../platform/platform.ts';
import { type JobHandler, operation, type RequestContext } from '../../platform/service.ts';
import { askToConfirm, isFinal } from './endpoints.ts';
import { invalid, notFound } from './errors.ts';
import { NoMailError } from './mail.ts';
import { withPlace } from './outside.ts';
import type { Subscription } from './tables.ts';
import { parseTopicArn, readTopic, topicCheck } from './topic.ts';

/** A subscription that nobody confirms is forgotten after two days, and so long its tokens are good. */
export const PENDING_MS = 2 * 86_400_000;
const PURPOSE = 'sns:confirm';
const MAX_TOKEN = 2048;

interface Token {
  arn: string;
  until: number;
}

export async function queueConfirmation(
  tx: Transaction,
  platform: Pick<Platform, 'keyring' | 'now'>,
  { arn }: Subscription,
): Promise<void> {
  const token: Token = { arn, until: platform.now().getTime() + PENDING_MS };
  await tx.enqueue('sns.confirm', { arn, token: platform.keyring.seal(PURPOSE, Buffer.from(JSON.stringify(token))) });
}

/** Job `sns.confirm`: asks once; tried again as long as the endpoint does not answer. */
export const sendConfirmation: JobHandler = (platform, job: Asked) =>
  withPlace(
    platform.now(),
    () => ask(platform, job),
    (again) => platform.transaction((tx) => tx.enqueue('sns.confirm', job, { runAt: again })),
  );

interface Asked {
  arn: string;
  token: string;
}

async function ask(platform: Platform, { arn, token }: Asked): Promise<void> {
  const subscription = await platform.read.selectFrom('sns.subscriptions').selectAll().where('arn', '=', arn).executeTakeFirst();
  if (!subscription || subscription.confirmed) return;
  const topic = await readTopic(platform.read, parseTopicArn(subscription.topic_arn)!);
  if (!topic) return;
  try {
    await askToConfirm(platform, topic, subscription, token);
  } catch (error) {
    const { message: reason } = error as Error;
    platform.log.warn(
      { subscription: arn, endpoint: subscription.endpoint, reason },
      'a subscription waits for its confirmation, which could not be asked for',
    );
    if (!isFinal(error) && !(error instanceof NoMailError)) throw error;
  }
}

function openToken(ctx: RequestContext, text: string): Token {
  const plain = text.length <= MAX_TOKEN ? ctx.keyring.open(PURPOSE, text) : undefined;
  const token = plain && (JSON.parse(plain.toString()) as Token);
  if (!token || token.until <= ctx.now().getTime()) throw invalid('Token');
  return token;
}

export const confirmSubscription = operation('sns', 'ConfirmSubscription', {
  async authorize({ TopicArn }, ctx) {
    // Whoever has the token has it from the endpoint.
    if (ctx.principal.type === 'WebIdentity') return [];
    const name = parseTopicArn(TopicArn);
    const topic = name && (await readTopic(ctx.read, name));
    if (!topic) throw notFound('Topic');
    return topicCheck(ctx, topic);
  },
  async handle(ctx, { TopicArn, Token: text, AuthenticateOnUnsubscribe }) {
    const { arn } = openToken(ctx, text);
    if (!arn.startsWith(`${TopicArn}:`)) throw invalid('Token');
    const authenticated = ctx.principal.type !== 'WebIdentity';
    if (AuthenticateOnUnsubscribe === 'true' && !authenticated) {
      throw new AwsError('AuthorizationError', 'AuthenticateOnUnsubscribe can only be set by a signed request.', { status: 403 });
    }
    await ctx.transaction(async (tx) => {
      const confirmed = await tx.sql
        .updateTable('sns.subscriptions')
        .set({
          confirmed_seq: sql<number>`coalesce(confirmed_seq, nextval('sns.order'))`,
          ...(authenticated && { authenticated }),
          ...(AuthenticateOnUnsubscribe === 'true' && { guarded: true }),
        })
        .where('arn', '=', arn)
        .returning('arn')
        .executeTakeFirst();
      if (!confirmed) throw notFound('Subscription');
    });
    return { SubscriptionArn: arn };
  },
});
