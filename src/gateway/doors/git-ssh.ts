/**
 * CodeCommit's repositories for git over SSH. A user's name is the id of an SSH public key (`APKA…`), whose private half the client must
 * prove to have. What an authenticated client may ask for is in git-ssh-session.ts.
 */
import { createServer, type Socket } from 'node:net';
import type { AuthContext, CipherAlgorithm, Connection, PublicKeyAuthContext, Server } from 'ssh2';
import type { Principal } from '../../platform/principal.ts';
import type { Gateway } from '../exchange.ts';
import type { SshClient } from './git-ssh-session.ts';
import { serveSession } from './git-ssh-session.ts';
import type { HostKey } from './ssh-host-keys.ts';

export interface SshLimits {
  /** In this process; who comes beyond that is hung up on. */
  connections: number;
  /** From the connection to the user's key, however much or little the client says meanwhile. */
  loginMs: number;
  /** Agents offer their keys one by one; OpenSSH's own server allows six. */
  keysTried: number;
  /** A connection without a command. */
  idleMs: number;
}

const LIMITS: SshLimits = { connections: 500, loginMs: 60_000, keysTried: 20, idleMs: 5 * 60_000 };
/** One connection may carry several commands (ControlMaster), so many at once and in all. */
const MAX_COMMANDS = 10;
const MAX_SESSIONS = 10_000;
/**
 * Those that the processor does itself; every client has one of them. Without the ChaCha20 that OpenSSH would prefer, which the library does in
 * JavaScript: it takes a quarter more of the processor's time for the same clone.
 */
const CIPHERS: CipherAlgorithm[] = ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'aes128-ctr', 'aes256-ctr'];
/** So many questions of ours (one each interval) may go unanswered before the client is given up. */
const KEEPALIVE = { keepaliveInterval: 30_000, keepaliveCountMax: 10 };

export interface ListeningSsh {
  port: number;
  close(): Promise<void>;
}

export async function listenSsh(
  gateway: Gateway,
  where: { host: string; port: number; keys: HostKey[] },
  limits: SshLimits = LIMITS,
): Promise<ListeningSsh> {
  const sockets = new Set<Socket>();
  const logins = new Logins(limits.loginMs);
  let ssh: Promise<Server> | undefined;
  // The SSH library is loaded for the first client: most starts see none.
  const listener = createServer(async (socket) => {
    if (sockets.size >= limits.connections) return socket.destroy();
    sockets.add(socket);
    logins.begin(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    socket.setNoDelay(true);
    ssh ??= createSshServer(gateway, where.keys, limits, logins);
    return (await ssh).injectSocket(socket);
  });
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject);
    listener.listen(where.port, where.host, () => resolve());
  });
  const address = listener.address();
  return {
    port: typeof address === 'object' && address ? address.port : where.port,
    close: () =>
      new Promise((resolve) => {
        listener.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

/** Hangs up on who has not proven his key in time. The library tells of a connection only when the client has greeted, which he may never do. */
class Logins {
  readonly #ms: number;
  readonly #pending = new Map<string, NodeJS.Timeout>();

  constructor(ms: number) {
    this.#ms = ms;
  }

  begin(socket: Socket): void {
    const name = `${socket.remoteAddress} ${socket.remotePort}`;
    this.#pending.set(name, setTimeout(() => socket.destroy(), this.#ms).unref());
    socket.once('close', () => this.#end(name));
  }

  /** The client at that address has proven his key. */
  succeed({ ip, port }: { ip: string; port: number }): void {
    this.#end(`${ip} ${port}`);
  }

  #end(name: string): void {
    clearTimeout(this.#pending.get(name));
    this.#pending.delete(name);
  }
}

async function createSshServer(gateway: Gateway, keys: HostKey[], limits: SshLimits, logins: Logins): Promise<Server> {
  const { Server, utils } = (await import('ssh2')).default;
  const settings = { hostKeys: keys.map((key) => key.privateKey), ident: 'penstock', algorithms: { cipher: CIPHERS }, ...KEEPALIVE };
  const server = new Server(settings, (connection, info) => {
    // Faults of the client's are its own affair; the connection ends with them.
    connection.on('error', () => {});
    const client = { sourceIp: info.ip, userAgent: info.header.versions.software };
    const verifyKey: Verify = (blob, context) => verify(utils.parseKey(blob), context);
    new SshConnection(gateway, connection, client, verifyKey, limits, () => logins.succeed(info)).begin();
  });
  return server;
}

type Verify = (blob: Buffer, context: PublicKeyAuthContext) => boolean;

/** SHA-1 proves nothing any more. */
function verify(key: ReturnType<typeof import('ssh2').utils.parseKey>, { hashAlgo, blob, signature }: PublicKeyAuthContext): boolean {
  if (key instanceof Error || !blob || !signature) return false;
  if (key.type === 'ssh-rsa' && hashAlgo !== 'sha256' && hashAlgo !== 'sha512') return false;
  return key.verify(blob, signature, hashAlgo) === true;
}

class SshConnection {
  readonly #gateway: Gateway;
  readonly #connection: Connection;
  readonly #client: { sourceIp: string; userAgent: string };
  readonly #verify: Verify;
  readonly #limits: SshLimits;
  readonly #admitted: () => void;
  #tried = 0;
  #sessions = 0;
  #commands = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    gateway: Gateway,
    connection: Connection,
    client: { sourceIp: string; userAgent: string },
    verifyKey: Verify,
    limits: SshLimits,
    admitted: () => void,
  ) {
    this.#gateway = gateway;
    this.#connection = connection;
    this.#client = client;
    this.#verify = verifyKey;
    this.#limits = limits;
    this.#admitted = admitted;
  }

  begin(): void {
    const connection = this.#connection;
    connection.on('close', () => clearTimeout(this.#timer));
    connection.on('authentication', (context) => {
      this.#authenticate(context).catch((error) => {
        this.#gateway.platform.log.error({ error }, 'an SSH key could not be checked');
        context.reject(['publickey']);
      });
    });
  }

  async #authenticate(context: AuthContext): Promise<void> {
    if (context.method !== 'publickey') return context.reject(['publickey']);
    const known = await this.#gateway.access.sshKey(context.username);
    const matches = known !== undefined && context.key.data.equals(known.publicKey);
    // Without a signature the client only asks whether the key would do.
    if (!matches || (context.signature && !this.#verify(known.publicKey, context))) {
      if (++this.#tried >= this.#limits.keysTried) return void this.#connection.end();
      return context.reject(['publickey']);
    }
    if (context.signature) this.#admit(context.username, known.principal);
    return context.accept();
  }

  #admit(keyId: string, principal: Principal): void {
    const connection = this.#connection;
    const gone = new AbortController();
    connection.once('close', () => gone.abort());
    this.#admitted();
    this.#endIn(this.#limits.idleMs);
    const client: SshClient = {
      ...this.#client,
      gateway: this.#gateway,
      principal,
      keyId,
      gone: gone.signal,
      beginCommand: () => {
        if (this.#commands >= MAX_COMMANDS) return false;
        this.#commands++;
        clearTimeout(this.#timer);
        return true;
      },
      endCommand: () => {
        if (--this.#commands === 0) this.#endIn(this.#limits.idleMs);
      },
    };
    connection.on('session', (accept, reject) => {
      if (++this.#sessions > MAX_SESSIONS) return reject();
      return serveSession(client, accept());
    });
  }

  #endIn(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connection.end(), ms);
    this.#timer.unref();
  }
}
