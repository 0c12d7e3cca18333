/** The limits of the SSH door, made small. What git does through it is tested with real clients in test/clients/git-ssh.test.ts. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, test } from 'node:test';
import ssh2, { type Client } from 'ssh2';
import type { Gateway } from '../exchange.ts';
import { type ListeningSsh, listenSsh, type SshLimits } from './git-ssh.ts';
import { createHostKeys } from './ssh-host-keys.ts';

const hostKeys = JSON.parse((await createHostKeys()).toString());
const ada = rsaKey();
const GENEROUS: SshLimits = { connections: 100, loginMs: 60_000, keysTried: 20, idleMs: 60_000 };
const open: { close(): unknown }[] = [];
after(async () => {
  for (const each of open.reverse()) await each.close();
});

function rsaKey(): string {
  return generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
    publicKeyEncoding: { type: 'pkcs1', format: 'pem' },
  }).privateKey;
}

/** A door that knows one user, ada, and her key. */
async function door(limits: Partial<SshLimits>): Promise<ListeningSsh> {
  const parsed = ssh2.utils.parseKey(ada);
  if (parsed instanceof Error) throw parsed;
  const known = { publicKey: parsed.getPublicSSH(), principal: {} };
  const gateway = {
    access: { sshKey: async (name: string) => (name === 'ada' ? known : undefined) },
    platform: { log: { error: assert.fail } },
  };
  const listening = await listenSsh(
    gateway as unknown as Gateway,
    { host: '127.0.0.1', port: 0, keys: hostKeys },
    { ...GENEROUS, ...limits },
  );
  open.push(listening);
  return listening;
}

async function socketTo({ port }: ListeningSsh): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  open.push({ close: () => socket.destroy() });
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

function clientOf({ port }: ListeningSsh, privateKey: string): Client {
  const client = new ssh2.Client();
  client.on('error', () => {});
  open.push({ close: () => client.destroy() });
  client.connect({ host: '127.0.0.1', port, username: 'ada', privateKey });
  return client;
}

test('who proves no key in time is hung up on, whether he has said nothing, a part of a greeting or a whole one', async () => {
  const listening = await door({ loginMs: 200 });
  const said = ['', 'SSH-2.0-slow', 'SSH-2.0-silent\r\n'];
  await Promise.all(
    said.map(async (words) => {
      const socket = await socketTo(listening);
      socket.resume();
      if (words) socket.write(words);
      await once(socket, 'close');
    }),
  );
});

test('who has proven his key stays', async () => {
  const listening = await door({ loginMs: 500 });
  const client = clientOf(listening, ada);
  await once(client, 'ready');
  const silent = await socketTo(listening);
  silent.resume();
  let left = false;
  client.once('close', () => {
    left = true;
  });
  // The time of the later one is over after that of the first.
  await once(silent, 'close');
  assert.equal(left, false);
});

test('a connection without a command is ended', async () => {
  const client = clientOf(await door({ idleMs: 200 }), ada);
  await once(client, 'ready');
  await once(client, 'close');
});

test('so many wrong keys end a connection', async () => {
  const listening = await door({ keysTried: 3 });
  const wrong = [rsaKey(), rsaKey(), rsaKey(), rsaKey()].map((key) => ({ type: 'publickey' as const, username: 'ada', key }));
  let tried = 0;
  const client = new ssh2.Client();
  open.push({ close: () => client.destroy() });
  client.on('error', () => {});
  const authHandler = (_: unknown, __: unknown, next: (method: any) => void) => next(wrong[tried++] ?? false);
  client.connect({ host: '127.0.0.1', port: listening.port, username: 'ada', authHandler: authHandler as never });
  await once(client, 'close');
  assert.equal(tried, 3);
});

test('connections beyond the limit are hung up on, and let in again when others have gone', async () => {
  const listening = await door({ connections: 2 });
  const [first] = await Promise.all([socketTo(listening), socketTo(listening)]);
  const third = await socketTo(listening);
  third.resume();
  await once(third, 'close');
  first!.destroy();
  // The server hears of it a moment later.
  for (let welcome = false; !welcome; ) {
    const next = await socketTo(listening);
    next.write('SSH-2.0-next\r\n');
    welcome = await Promise.race([once(next, 'data').then(() => true), once(next, 'close').then(() => false)]);
  }
});
