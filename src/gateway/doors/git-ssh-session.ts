/** What an authenticated SSH client may do: fetch, push, and ask the way to large files. Everything else is refused in words. */
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import type { ServerChannel, Session } from 'ssh2';
import type { Repository } from '../../devtools/codecommit/repository.ts';
import { lookUpReferences, openRepository, openView } from '../../devtools/codecommit/repository.ts';
import { advertisement } from '../../git/receive-request.ts';
import { protocolVersion } from '../../git/upload.ts';
import { uploadSession } from '../../git/upload-session.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Principal } from '../../platform/principal.ts';
import { publicEndpoints } from '../../platform/public-endpoints.ts';
import { streamed } from '../../platform/stream-garbage.ts';
import type { Gateway } from '../exchange.ts';
import type { GitAccess } from './git-access.ts';
import { createCaller, findRepository, SILENCE_MS, takePush, turns, withAccess } from './git-access.ts';
import { LFS_TOKEN_SECONDS, type LfsOperation, sealLeave } from './git-lfs-tokens.ts';

const GREETING =
  'You have successfully authenticated over SSH. You can use Git to interact with AWS CodeCommit. Interactive shells are not supported.';
/** Git's exit status for all that is fatal. */
const FATAL = 128;
const LOOK_MS = 30_000;

export interface SshClient {
  gateway: Gateway;
  principal: Principal;
  /** `APKA…` */
  keyId: string;
  sourceIp: string;
  /** What the client's program calls itself. */
  userAgent: string;
  /** Aborted when the connection is not there any more. */
  gone: AbortSignal;
  /** False when too many commands run already. */
  beginCommand(): boolean;
  endCommand(): void;
}

/** Waits for the session's one command and serves it. What nobody listens to here (files, forwarded ports, agents) is refused by the library. */
export function serveSession(client: SshClient, session: Session): void {
  let protocol: string | undefined;
  session.on('env', (accept, reject, { key, val }) => {
    if (key !== 'GIT_PROTOCOL') return reject?.();
    protocol = val;
    return accept?.();
  });
  session.on('exec', (accept, reject, { command }) => {
    if (!client.beginCommand()) return reject();
    const channel = accept();
    channel.on('error', () => {});
    return void run(client, channel, command, protocolVersion(protocol))
      .then(
        (status) => leave(channel, status),
        (error) => fail(client, channel, error),
      )
      .finally(() => client.endCommand());
  });
  session.on('shell', (accept) => {
    const channel = accept();
    channel.on('error', () => {});
    channel.stderr.write(`${GREETING}\r\n`, () => leave(channel, 1));
  });
}

/** Words for people, to be shown as they are. */
class RefusedCommand extends Error {
  override readonly name = 'RefusedCommand';
}

async function run(client: SshClient, channel: ServerChannel, command: string, version: 0 | 1 | 2): Promise<number> {
  const large = /^git-lfs-authenticate (?:'([^']*)'|([^\s'"]+)) (download|upload)$/.exec(command);
  if (large) return await showWayToLargeFiles(client, channel, repositoryNameIn(large[1] ?? large[2]!), large[3] as LfsOperation);
  const [, service, quoted, plain] = /^git[ -](upload-pack|receive-pack) (?:'([^']*)'|([^\s'"]+))$/.exec(command) ?? [];
  if (service === undefined) {
    throw new RefusedCommand(`${GREETING} The command is not one of git-upload-pack and git-receive-pack: ${printable(command)}`);
  }
  const name = repositoryNameIn(quoted ?? plain ?? '');
  const access = await accessTo(client, name, service === 'upload-pack' ? 'GitPull' : 'GitPush');
  using conversation = new Conversation(channel, client.gone);
  const serve = service === 'upload-pack' ? serveFetch : servePush;
  return await withAccess(access, (repository) => turns.take(conversation.signal, () => serve(access, repository, conversation, version)));
}

function repositoryNameIn(path: string): string {
  const name = /^\/?v1\/repos\/([\w.-]{1,100})\/?$/.exec(path)?.[1];
  if (name !== undefined) return name;
  throw new RefusedCommand(`'${printable(path)}' does not appear to be a git repository; its path is /v1/repos/NAME`);
}

async function accessTo(client: SshClient, repositoryName: string, action: GitAccess['action']): Promise<GitAccess> {
  const { gateway, principal, sourceIp, userAgent } = client;
  const { region, repository: found } = await findRepository(gateway, principal, repositoryName);
  const caller = createCaller(gateway, principal, region, { sourceIp, userAgent });
  return { gateway, protocol: 'SSH', action, caller, repositoryName, found, dataTransferred: false, references: [] };
}

/** Large files move over HTTP only; the key that opened this connection opens that door for an hour. */
async function showWayToLargeFiles(client: SshClient, channel: ServerChannel, name: string, operation: LfsOperation): Promise<number> {
  const { gateway, keyId } = client;
  return await withAccess(await accessTo(client, name, operation === 'upload' ? 'GitPush' : 'GitPull'), async () => {
    const { keyring, config, now } = gateway.platform;
    const leave = { kind: 'ssh-key', operation, keyId, repositoryName: name } as const;
    const way = {
      href: `${publicEndpoints(config).http}/v1/repos/${name}/info/lfs`,
      header: { Authorization: sealLeave(keyring, leave, now()) },
      expires_in: LFS_TOKEN_SECONDS,
    };
    channel.write(`${JSON.stringify(way)}\n`);
    return 0;
  });
}

async function serveFetch(access: GitAccess, repository: Repository, conversation: Conversation, version: 0 | 1 | 2): Promise<number> {
  const view = await openView(access.caller.context, repository);
  access.dataTransferred = true;
  const status = await uploadSession(view, version, conversation);
  conversation.signal.throwIfAborted();
  await conversation.end();
  return status ?? FATAL;
}

async function servePush(access: GitAccess, repository: Repository, conversation: Conversation, version: 0 | 1 | 2): Promise<number> {
  const { platform } = access.gateway;
  await openRepository(access.caller.context, repository);
  conversation.output.write(Buffer.concat([...advertisement(await lookUpReferences(platform, repository.id), version === 1)]));
  await takePush(access, repository, conversation);
  await conversation.end();
  return 0;
}

/** The two directions of a channel; given up when nothing moves, or the client is not there any more. */
class Conversation implements Disposable {
  readonly input = new PassThrough();
  readonly output = new PassThrough();
  readonly errors: NodeJS.WritableStream & ServerChannel['stderr'];
  readonly signal: AbortSignal;
  readonly #given = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #moved = performance.now();

  constructor(channel: ServerChannel, gone: AbortSignal) {
    this.signal = AbortSignal.any([gone, this.#given.signal]);
    this.errors = channel.stderr;
    channel.on('data', (chunk: Buffer) => this.#touch(chunk)).pipe(this.input);
    this.output.on('data', (chunk: Buffer) => this.#touch(chunk)).pipe(channel, { end: false });
    // A channel of a connection that broke takes no more, and says nothing of it.
    channel.once('close', () => this.#given.abort());
    this.signal.addEventListener('abort', () => this.#close(), { once: true });
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
  }

  /** Resolves when all that was written is on its way. */
  async end(): Promise<void> {
    this.output.end();
    if (!this.output.readableEnded && !this.output.destroyed) await once(this.output, 'close');
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #touch(chunk: Buffer): void {
    this.#moved = performance.now();
    streamed(chunk.length);
  }

  #look(): void {
    if (performance.now() - this.#moved > SILENCE_MS) this.#given.abort();
  }

  #close(): void {
    this.input.destroy();
    this.output.destroy();
  }
}

function fail({ gateway, gone }: SshClient, channel: ServerChannel, error: Error): void {
  let message = 'Internal error.';
  if (gone.aborted || error.name === 'AbortError') message = 'the connection was given up';
  else if (error instanceof AwsError || error instanceof RefusedCommand) message = error.message;
  else gateway.platform.log.error({ error }, 'a git session failed');
  channel.stderr.write(`fatal: ${message}\n`, () => leave(channel, FATAL));
}

/** The status goes out behind all that was written before. */
function leave(channel: ServerChannel, status: number): void {
  channel.write(Buffer.alloc(0), () => {
    channel.exit(status);
    channel.end();
  });
}

function printable(text: string): string {
  return text.slice(0, 200).replace(/[^\x20-\x7e]/g, '?');
}
