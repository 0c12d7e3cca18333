/** Subscribers outside: a real HTTP server, a stand-in for a mail server, and what becomes of their messages when the server is killed. */
import assert from 'node:assert/strict';
import { createVerify, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import {
  ConfirmSubscriptionCommand,
  CreateTopicCommand,
  GetSubscriptionAttributesCommand,
  ListSubscriptionsByTopicCommand,
  PublishCommand,
  SetTopicAttributesCommand,
  SNSClient,
  SubscribeCommand,
  UnsubscribeCommand,
} from '@aws-sdk/client-sns';
import { SQSClient } from '@aws-sdk/client-sqs';
import { queueFor, receiveAll } from '../support/messaging.ts';
import { startServer, type TestServer } from '../support/server.ts';

interface Received {
  path: string;
  headers: http.IncomingHttpHeaders;
  body: string;
}

/** Takes one thing after the other; whoever asks first waits for the first. */
class Mailbox<T> {
  readonly #kept: T[] = [];
  readonly #waiting: ((item: T) => void)[] = [];

  put(item: T): void {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(item);
    else this.#kept.push(item);
  }
  next(): Promise<T> {
    const kept = this.#kept.shift();
    return kept === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(kept);
  }
}

const posts = new Mailbox<Received>();
const mails = new Mailbox<string>();
/** What the subscriber answers next; then 200 again. */
const answers: number[] = [];
let subscriber: http.Server;
let mailServer: net.Server;
let server: TestServer;
let sns: SNSClient;
let sqs: SQSClient;

const portOf = (listening: net.Server): number => (listening.address() as AddressInfo).port;
const addressOf = (path = '/'): string => `http://127.0.0.1:${portOf(subscriber)}${path}`;

before(async () => {
  subscriber = http.createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const status = answers.shift() ?? 200;
    response.writeHead(status, status === 302 ? { location: addressOf('/elsewhere') } : {}).end();
    posts.put({ path: request.url!, headers: request.headers, body });
  });
  mailServer = net.createServer(speakSmtp);
  for (const listening of [subscriber, mailServer]) await once(listening.listen(0, '127.0.0.1'), 'listening');
  const env = { PENSTOCK_SMTP_URL: `smtp://127.0.0.1:${portOf(mailServer)}`, PENSTOCK_SMTP_FROM: 'penstock@example.com' };
  server = await startServer({ env });
  sns = new SNSClient(server.client);
  sqs = new SQSClient(server.client);
});
after(async () => {
  sns?.destroy();
  sqs?.destroy();
  subscriber?.close();
  mailServer?.close();
  await server?.stop();
});

/** As little of RFC 5321 as a client needs to leave a message. */
function speakSmtp(socket: net.Socket): void {
  let rest = '';
  let data = false;
  socket.setEncoding('utf8').on('error', () => {});
  socket.write('220 test\r\n');
  socket.on('data', (chunk) => {
    rest += chunk;
    for (;;) {
      const end = rest.indexOf(data ? '\r\n.\r\n' : '\r\n');
      if (end < 0) return;
      const text = rest.slice(0, end);
      rest = rest.slice(end + (data ? 5 : 2));
      if (data) {
        mails.put(text);
        data = false;
        socket.write('250 taken\r\n');
      } else if (/^DATA/i.test(text)) {
        data = true;
        socket.write('354 go on\r\n');
      } else socket.write(/^QUIT/i.test(text) ? '221 bye\r\n' : '250 ok\r\n');
    }
  });
}

async function topic(Name: string, Attributes: Record<string, string> = {}): Promise<string> {
  return (await sns.send(new CreateTopicCommand({ Name, Attributes }))).TopicArn!;
}

/** As a receiver should: by the certificate at SigningCertURL, which the authority vouches for. */
async function verify(message: Record<string, string>): Promise<void> {
  const url = new URL(message.SigningCertURL!);
  assert.equal(url.origin, server.tlsEndpoint);
  // The same file is at both addresses; this program does not trust the local authority.
  const pem = await (await fetch(new URL(url.pathname, server.endpoint))).text();
  const certificate = new X509Certificate(pem);
  assert.ok(certificate.verify(new X509Certificate(readFileSync(server.caFile)).publicKey));
  const names =
    message.Type === 'Notification'
      ? ['Message', 'MessageId', 'Subject', 'Timestamp', 'TopicArn', 'Type']
      : ['Message', 'MessageId', 'SubscribeURL', 'Timestamp', 'Token', 'TopicArn', 'Type'];
  const text = names.filter((name) => message[name] !== undefined).map((name) => `${name}\n${message[name]}\n`);
  const algorithm = message.SignatureVersion === '2' ? 'RSA-SHA256' : 'RSA-SHA1';
  const check = (signed: string): boolean =>
    createVerify(algorithm).update(signed).verify(certificate.publicKey, message.Signature!, 'base64');
  assert.equal(check(text.join('')), true);
  assert.equal(check(`${text.join('')}x`), false);
}

/** Subscribes a path of the test's server and confirms by the link that comes to it. */
async function subscribed(TopicArn: string, path: string, Attributes: Record<string, string> = {}, publicUrl?: string): Promise<string> {
  const { SubscriptionArn } = await sns.send(
    new SubscribeCommand({ TopicArn, Protocol: 'http', Endpoint: addressOf(path), Attributes, ReturnSubscriptionArn: true }),
  );
  const asked = JSON.parse((await posts.next()).body);
  assert.ok(asked.SubscribeURL.startsWith(`${publicUrl ?? server.endpoint}/?Action=ConfirmSubscription`));
  const answer = await fetch(asked.SubscribeURL);
  assert.equal(answer.status, 200);
  assert.match(await answer.text(), new RegExp(`<SubscriptionArn>${SubscriptionArn}</SubscriptionArn>`));
  return SubscriptionArn!;
}

const publish = (TopicArn: string, Message: string, more: object = {}) => sns.send(new PublishCommand({ TopicArn, Message, ...more }));

describe('HTTP endpoints', () => {
  test('are asked first, get signed messages, and may leave by a link', async () => {
    const TopicArn = await topic('over-http');
    const pending = await sns.send(new SubscribeCommand({ TopicArn, Protocol: 'http', Endpoint: addressOf('/a?b=c') }));
    assert.equal(pending.SubscriptionArn, 'pending confirmation');
    const { path, headers, body } = await posts.next();
    assert.equal(path, '/a?b=c');
    assert.equal(headers['x-amz-sns-message-type'], 'SubscriptionConfirmation');
    assert.equal(headers['content-type'], 'text/plain; charset=UTF-8');
    const asked = JSON.parse(body);
    await verify(asked);
    const wrong = await fetch(asked.SubscribeURL.replace(/Token=.{4}/, 'Token=AAAA'));
    assert.equal(wrong.status, 400);
    await publish(TopicArn, 'too early');
    await (await fetch(asked.SubscribeURL)).text();
    const { MessageId } = await publish(TopicArn, 'hällo', { Subject: 'One' });
    const got = await posts.next();
    const message = JSON.parse(got.body);
    assert.deepEqual([message.Message, message.MessageId, message.SignatureVersion], ['hällo', MessageId, '1']);
    assert.deepEqual([got.headers['x-amz-sns-message-id'], got.headers['x-amz-sns-topic-arn']], [MessageId, TopicArn]);
    await verify(message);
    await sns.send(new SetTopicAttributesCommand({ TopicArn, AttributeName: 'SignatureVersion', AttributeValue: '2' }));
    await publish(TopicArn, 'two');
    const second = JSON.parse((await posts.next()).body);
    assert.equal(second.SignatureVersion, '2');
    await verify(second);
    const SubscriptionArn = got.headers['x-amz-sns-subscription-arn'] as string;
    assert.equal((await fetch(second.UnsubscribeURL)).status, 200);
    await assert.rejects(sns.send(new GetSubscriptionAttributesCommand({ SubscriptionArn })), { name: 'NotFoundException' });
    const others = await fetch(`${server.endpoint}/?Action=ListTopics`);
    assert.equal(others.status, 403);
  });

  test('may only be ended by an account, when an account confirmed so', async () => {
    const TopicArn = await topic('guarded');
    await sns.send(new SubscribeCommand({ TopicArn, Protocol: 'http', Endpoint: addressOf('/guarded') }));
    const listed = () => sns.send(new ListSubscriptionsByTopicCommand({ TopicArn }));
    assert.equal((await listed()).Subscriptions![0]!.SubscriptionArn, 'PendingConfirmation');
    const { SubscribeURL, Token } = JSON.parse((await posts.next()).body);
    assert.equal((await fetch(`${SubscribeURL}&AuthenticateOnUnsubscribe=true`)).status, 403);
    const confirm = new ConfirmSubscriptionCommand({ TopicArn, Token, AuthenticateOnUnsubscribe: 'true' });
    const { SubscriptionArn } = await sns.send(confirm);
    await publish(TopicArn, 'x');
    const { UnsubscribeURL } = JSON.parse((await posts.next()).body);
    assert.equal((await fetch(UnsubscribeURL)).status, 403);
    assert.equal((await listed()).Subscriptions![0]!.SubscriptionArn, SubscriptionArn);
    await sns.send(new UnsubscribeCommand({ SubscriptionArn }));
    assert.deepEqual((await listed()).Subscriptions, []);
  });

  test('that do not answer hold up neither others nor the rest of the server', async () => {
    const TopicArn = await topic('silent');
    const held = new Set<net.Socket>();
    const silent = net.createServer((socket) => held.add(socket));
    await once(silent.listen(0, '127.0.0.1'), 'listening');
    const queue = await queueFor(sqs, 'silent', { from: TopicArn });
    const url = `http://127.0.0.1:${portOf(silent)}`;
    try {
      // Their confirmations wait as long for an answer as messages would.
      for (let at = 0; at < 20; at++) await sns.send(new SubscribeCommand({ TopicArn, Protocol: 'http', Endpoint: `${url}/${at}` }));
      await sns.send(new SubscribeCommand({ TopicArn, Protocol: 'sqs', Endpoint: queue.arn, Attributes: { RawMessageDelivery: 'true' } }));
      await publish(TopicArn, 'on time');
      assert.equal((await receiveAll(sqs, queue.url, 1))[0]!.Body, 'on time');
    } finally {
      silent.close();
      for (const socket of held) socket.destroy();
    }
  });

  test('are tried again while they fail, and not when they refuse', async () => {
    const dead = await queueFor(sqs, 'http-dead', { from: '*' });
    const healthyRetryPolicy = { numRetries: 2, numNoDelayRetries: 1, minDelayTarget: 1, maxDelayTarget: 1 };
    const TopicArn = await topic('retried');
    await subscribed(TopicArn, '/retried', {
      RawMessageDelivery: 'true',
      DeliveryPolicy: JSON.stringify({ healthyRetryPolicy }),
      RedrivePolicy: JSON.stringify({ deadLetterTargetArn: dead.arn }),
    });
    answers.push(500, 503);
    await publish(TopicArn, 'third time');
    for (let tried = 0; tried < 3; tried++) {
      const { body, headers } = await posts.next();
      assert.deepEqual([body, headers['x-amz-sns-rawdelivery']], ['third time', 'true']);
    }
    answers.push(404);
    await publish(TopicArn, 'refused');
    assert.equal((await posts.next()).body, 'refused');
    assert.equal((await receiveAll(sqs, dead.url, 1))[0]!.Body, 'refused');
    answers.push(302);
    await publish(TopicArn, 'redirected');
    assert.equal((await posts.next()).path, '/retried');
    // It came to the dead-letter queue, so nobody followed the redirection.
    assert.equal((await receiveAll(sqs, dead.url, 1))[0]!.Body, 'redirected');
    answers.push(500, 500, 500);
    await publish(TopicArn, 'never');
    for (let tried = 0; tried < 3; tried++) assert.equal((await posts.next()).body, 'never');
    assert.equal((await receiveAll(sqs, dead.url, 1))[0]!.Body, 'never');
  });

  test('get what was published before the server was killed', async () => {
    const TopicArn = await topic('survives');
    await subscribed(TopicArn, '/survives', { RawMessageDelivery: 'true' });
    const queue = await queueFor(sqs, 'survives', { from: TopicArn });
    await sns.send(new SubscribeCommand({ TopicArn, Protocol: 'sqs', Endpoint: queue.arn, Attributes: { RawMessageDelivery: 'true' } }));
    const count = 20;
    // This process only takes messages; whoever delivers them comes later.
    await server.restart({ args: ['--role', 'api'] });
    for (let at = 0; at < count; at++) await publish(TopicArn, `${at}`);
    await server.restart({ args: [] });
    const first = (await posts.next()).body;
    await server.restart();
    const overHttp = new Set([first]);
    while (overHttp.size < count) overHttp.add((await posts.next()).body);
    const queued = new Set<string>();
    while (queued.size < count) for (const { Body } of await receiveAll(sqs, queue.url, 1)) queued.add(Body!);
    assert.deepEqual([...queued].sort(), [...overHttp].sort());
  });
});

describe('mail', () => {
  /** Undoes quoted-printable as far as these messages need it. */
  const plain = (mail: string): string =>
    mail.replace(/=\r\n/g, '').replace(/(?:=[0-9A-F]{2})+/g, (bytes) => Buffer.from(bytes.replaceAll('=', ''), 'hex').toString());

  test('is confirmed by a link, and then brings each message', async () => {
    const TopicArn = await topic('by-mail', { DisplayName: 'Builds' });
    await sns.send(new SubscribeCommand({ TopicArn, Protocol: 'email', Endpoint: 'someone@example.com' }));
    const asked = plain(await mails.next());
    assert.match(asked, /^To: someone@example\.com/m);
    assert.match(asked, /^From: Builds <penstock@example\.com>/m);
    assert.match(asked, /^Subject: AWS Notification - Subscription Confirmation/m);
    const link = /^http:\/\/\S+Action=ConfirmSubscription\S+/m.exec(asked)![0];
    assert.equal((await fetch(link)).status, 200);
    await publish(TopicArn, 'It is bröken.', { Subject: 'Build failed' });
    const mail = plain(await mails.next());
    assert.match(mail, /^Subject: Build failed/m);
    assert.match(mail, /It is bröken\./);
    assert.match(mail, /Action=Unsubscribe/);
  });

  test('waits when there is no mail server, and the log says so', async () => {
    // Links follow the public address as well.
    const PENSTOCK_PUBLIC_URL = server.endpoint.replace('127.0.0.1', 'localhost');
    await server.restart({ env: { PENSTOCK_PUBLIC_URL: `${PENSTOCK_PUBLIC_URL}/` } });
    const TopicArn = await topic('no-mail');
    const { SubscriptionArn } = await sns.send(
      new SubscribeCommand({ TopicArn, Protocol: 'email-json', Endpoint: 'a@example.com', ReturnSubscriptionArn: true }),
    );
    const { Attributes } = await sns.send(new GetSubscriptionAttributesCommand({ SubscriptionArn }));
    assert.equal(Attributes!.PendingConfirmation, 'true');
    // The job's queue is one for all: once another confirmation came, this one has been tried.
    await subscribed(TopicArn, '/after', {}, PENSTOCK_PUBLIC_URL);
    assert.match(server.log(), /set PENSTOCK_SMTP_URL/);
  });
});
