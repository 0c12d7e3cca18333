/** Puts the program together: which database, which drivers, which services. The only place that knows all of them. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { sql } from 'kysely';
import { openRecorder } from './cloud/cloudtrail/recorder.ts';
import { type Access, createAccess } from './cloud/iam/access.ts';
import { createAccount } from './cloud/iam/accounts.ts';
import { listenSsh } from './gateway/doors/git-ssh.ts';
import { createHostKeys, type HostKey } from './gateway/doors/ssh-host-keys.ts';
import type { Gateway } from './gateway/exchange.ts';
import { createClients } from './gateway/invoke.ts';
import { Registry } from './gateway/registry.ts';
import { listen } from './gateway/server.ts';
import { createAuthority, openAuthority } from './platform/authority.ts';
import type { Clients } from './platform/aws.ts';
import { type BlobSettings, type Config, ConfigError, type Ports } from './platform/config.ts';
import type { EmbeddedPostgres } from './platform/database/embedded.ts';
import { createDatabase } from './platform/database/kysely.ts';
import { migrate, type Schema } from './platform/database/migrate.ts';
import { type Connections, connect } from './platform/database/pool.ts';
import { inTransaction } from './platform/database/transaction.ts';
import { type Jobs, prepareJobs, startJobs } from './platform/jobs.ts';
import { createKeyring, type Keyring } from './platform/keyring.ts';
import type { Logger } from './platform/log.ts';
import { createPaging } from './platform/paging.ts';
import type { Platform, Transaction } from './platform/platform.ts';
import { ProcessRegistry } from './platform/processes.ts';
import { loadMasterKey, readSecret, sealSecret, sharedSecret } from './platform/secrets.ts';
import { serverCertificate } from './platform/server-certificate.ts';
import { SignalHub } from './platform/signals.ts';
import { openDiskBlobs } from './ports/blobs/disk.ts';
import type { BlobStore } from './ports/blobs/port.ts';
import { openS3Blobs } from './ports/blobs/s3.ts';
import { createMachines } from './ports/machines/index.ts';
import { services } from './services.ts';

/** The name under which the administrator's access key is kept. */
const ADMINISTRATOR = 'administrator';
/** Any fixed number, known only to us: of several first starts one makes the account. */
const FIRST_ACCOUNT_LOCK = 7_461_002;
const POOL_SIZE = 40;

type Credentials = { accessKeyId: string; secretAccessKey: string };

export interface Penstock {
  config: Config;
  platform: Platform;
  /** The administrator's access key of the first account. */
  administrator: Credentials;
  /** Every service, as that administrator, in process. */
  clients: Clients;
  /** Makes another account, with an administrator whose keys it tells; fails when it exists. */
  addAccount(id: string): Promise<Credentials>;
  /** The SSH server's public keys, as in `known_hosts` behind the host. */
  sshHostKeys: string[];
  /** PEM file of the local CA. */
  caFile: string;
  /** Finishes what is running, gives back what is claimed, and stops the database if nobody else uses it. */
  stop(): Promise<void>;
}

/** `database`: the embedded one, which has begun to start; undefined when the settings name another. */
export async function compose(
  config: Config,
  ports: Ports,
  env: NodeJS.ProcessEnv,
  log: Logger,
  database: Promise<EmbeddedPostgres> | undefined,
): Promise<Penstock> {
  const undo: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const action of undo.splice(0).reverse()) {
      await action().catch((error) => log.warn({ error }, 'a part did not stop cleanly'));
    }
  };
  try {
    const { connections, processes, signals } = await openDatabase(config, log, await database, undo);
    const { pool } = connections;
    const keyring = createKeyring(loadMasterKey(config.dataDir, env.PENSTOCK_MASTER_KEY));
    const read = createDatabase(pool);
    const authority = await openAuthority(await sharedSecret(pool, keyring, 'authority', createAuthority));
    const gateway = { registry: new Registry(services) } as Gateway;
    const platform: Platform = {
      config,
      log,
      now: () => new Date(),
      read,
      transaction: (work) => inTransaction(read, work),
      signals,
      blobs: await openBlobs(config.blobs, keyring.derive('blobs')),
      ...(await openMachines(config, keyring, log)),
      aws: createClients(gateway),
      keyring,
      paging: createPaging(keyring),
      processes,
      authority,
    };
    const access: Access = createAccess(platform);
    const recorder = config.cloudtrail.recording ? openRecorder(platform) : undefined;
    if (recorder) undo.push(() => recorder.stop());
    Object.assign(gateway, { platform, access, recorder });
    const administrator = await firstAccount(platform, pool);
    const caFile = path.join(config.dataDir, 'ca.pem');
    writeFileSync(caFile, authority.certificate);
    const hostKeys = JSON.parse((await sharedSecret(pool, keyring, 'ssh-host-keys', createHostKeys)).toString()) as HostKey[];
    await openDoors(gateway, ports, hostKeys, undo);
    if (config.role !== 'api') {
      const jobs: Jobs = await startJobs(platform, connections.jobs, services, processes);
      undo.push(() => jobs.stop());
    }
    const known = await access.credentials(administrator.accessKeyId, undefined);
    if (typeof known === 'string')
      throw new Error("The administrator's access key was deleted; there is no other way in for this command.");
    const clients = platform.aws.asPrincipal(known.principal, config.region);
    const sshHostKeys = hostKeys.map((key) => key.publicKey);
    return { config, platform, administrator, clients, addAccount: (id) => addAccount(platform, id), sshHostKeys, caFile, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Machines of all processes of an installation have one identity, so that each can end what another left. */
async function openMachines(
  { machines: kind, dataDir }: Config,
  keyring: Keyring,
  log: Logger,
): Promise<Pick<Platform, 'machines' | 'hostMachines'>> {
  const identity = keyring.derive('machines').toString('hex').slice(0, 12);
  const machines = await createMachines({ kind, dataDir, log, identity });
  return {
    machines,
    hostMachines: kind === 'docker' || kind === 'kubernetes' ? await createMachines({ kind: 'auto', dataDir, log }) : machines,
  };
}

async function openBlobs(settings: BlobSettings, key: Buffer): Promise<BlobStore> {
  return 'bucket' in settings ? openS3Blobs(settings, key) : openDiskBlobs(settings.directory, key);
}

async function openDatabase(
  config: Config,
  log: Logger,
  embedded: EmbeddedPostgres | undefined,
  undo: (() => Promise<void>)[],
): Promise<{ connections: Connections; processes: ProcessRegistry; signals: SignalHub }> {
  const connections = connect(embedded ? { embedded } : { url: config.databaseUrl! }, log, POOL_SIZE);
  const signals = new SignalHub();
  const processes = new ProcessRegistry({
    connections,
    role: config.role,
    log,
    onNotify: (payload) => signals.receive(payload),
    onReconnect: () => signals.wakeAll(),
  });
  undo.push(async () => {
    const alone = await processes.alone().catch(() => false);
    await processes.close();
    await connections.close();
    if (alone) await embedded?.stop();
  });
  await connections.requireDatabase();
  await prepareJobs(connections.pool, log);
  await migrate(connections.pool, schemas());
  await processes.open();
  return { connections, processes, signals };
}

function schemas(): Schema[] {
  const own = { owner: 'platform', folder: new URL('./platform/schema/', import.meta.url) };
  return [own, ...services.flatMap((service) => (service.schema ? [{ owner: service.name, folder: service.schema }] : []))];
}

/** The first account and its administrator: made once, whoever of several first starts comes first. */
async function firstAccount(platform: Platform, pool: Connections['pool']): Promise<Credentials> {
  const { keyring, config } = platform;
  const known = await readSecret(pool, keyring, ADMINISTRATOR);
  if (known) return JSON.parse(known.toString()) as Credentials;
  // The account and the secret by which it is known come together, or a crash between them would leave an account that nobody can use.
  await platform.transaction(async (tx) => {
    await sql`select pg_advisory_xact_lock(${FIRST_ACCOUNT_LOCK})`.execute(tx.sql);
    const { rows } = await sql`select 1 from platform.secrets where name = ${ADMINISTRATOR}`.execute(tx.sql);
    if (rows.length > 0) return;
    const sealed = sealSecret(keyring, ADMINISTRATOR, Buffer.from(JSON.stringify(await makeAccount(tx, platform, config.account))));
    await sql`insert into platform.secrets (name, sealed) values (${ADMINISTRATOR}, ${sealed})`.execute(tx.sql);
  });
  return JSON.parse((await readSecret(pool, keyring, ADMINISTRATOR))!.toString()) as Credentials;
}

function addAccount(platform: Platform, id: string): Promise<Credentials> {
  return platform.transaction((tx) => makeAccount(tx, platform, id));
}

async function makeAccount(tx: Transaction, platform: Platform, id: string): Promise<Credentials> {
  const administrator = await createAccount(tx, platform, id);
  for (const service of services) await service.accountCreated?.(tx, id);
  return administrator;
}

async function openDoors(gateway: Gateway, ports: Ports, hostKeys: HostKey[], undo: (() => Promise<void>)[]): Promise<void> {
  const { config, authority, keyring } = gateway.platform;
  const host = config.listen;
  const told = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  const name = told.includes(':') ? `[${told}]` : told;
  const http = await listen(gateway, { host, port: ports.http }).catch(explainPort(host, ports.http, '--port'));
  undo.push(() => http.close());
  config.endpoints.http = `http://${name}:${http.port}`;
  const names = [
    'localhost',
    '127.0.0.1',
    '::1',
    '*.localhost',
    '*.amazonaws.com',
    `*.${config.region}.amazonaws.com`,
    `*.s3.amazonaws.com`,
    ...(config.publicUrl ? [new URL(config.publicUrl).hostname] : []),
  ];
  const { certificate, privateKey } = await serverCertificate(config.dataDir, keyring, authority, [...new Set([...names, told])]);
  const https = await listen(gateway, { host, port: ports.https, tls: { cert: certificate, key: privateKey } }).catch(
    explainPort(host, ports.https, '--tls-port'),
  );
  undo.push(() => https.close());
  config.endpoints.https = `https://${name}:${https.port}`;
  const ssh = await listenSsh(gateway, { host, port: ports.ssh, keys: hostKeys }).catch(explainPort(host, ports.ssh, '--ssh-port'));
  undo.push(() => ssh.close());
  config.endpoints.ssh = `ssh://${name}:${ssh.port}`;
}

function explainPort(host: string, port: number, option: string): (cause: NodeJS.ErrnoException) => never {
  return (cause) => {
    if (cause.code === 'EADDRINUSE')
      throw new ConfigError(`Port ${port} on ${host} is taken by another program. Choose another one with ${option}; 0 takes a free one.`, {
        cause,
      });
    if (cause.code === 'EACCES')
      throw new ConfigError(`This user may not listen on port ${port}. Choose one above 1023 with ${option}.`, { cause });
    if (cause.code === 'EADDRNOTAVAIL' || cause.code === 'ENOTFOUND')
      throw new ConfigError(`${host} is no address of this host. Choose another one with --listen.`, { cause });
    throw cause;
  };
}
