/** `penstock up` and `penstock worker`: run the server until TERM or INT. */
import { Command, Option } from 'commander';
import type { Penstock } from '../compose.ts';
import { ConfigError, readConfig, type Settings } from '../platform/config.ts';
import { findRunning, forgetRunning, recordRunning } from './running.ts';

/** How soon a server takes the place of another one of its data directory in what users are told. */
const RECORD_MS = 2_000;
const EXIT_MS = 500;
let recording: NodeJS.Timeout | undefined;

/** The options of `up`, which `demo` takes too. */
export function addServerOptions(command: Command): Command {
  return command
    .option('--data <dir>', 'where everything is kept (PENSTOCK_DATA; default ~/.local/share/penstock)')
    .option('--listen <addr>', 'address to listen on (PENSTOCK_LISTEN; default 127.0.0.1)')
    .option('--port <n>', 'HTTP port, 0 takes a free one (PENSTOCK_PORT; default 4600)')
    .option('--tls-port <n>', 'HTTPS port (PENSTOCK_TLS_PORT; default 4601)')
    .option('--ssh-port <n>', 'port of git over SSH (PENSTOCK_SSH_PORT; default 4602)')
    .addOption(new Option('--role <role>', 'what this process does (PENSTOCK_ROLE; default all)').choices(['all', 'api', 'worker']))
    .addOption(
      new Option('--machines <driver>', 'where builds run (PENSTOCK_MACHINES; default auto: the sandbox where it works)').choices([
        'auto',
        'process',
        'sandbox',
        'docker',
        'kubernetes',
        'dummy',
      ]),
    )
    .option('--account <id>', 'the first account, 12 digits (PENSTOCK_ACCOUNT; default 123456789012)');
}

export function upCommand(): Command {
  return addServerOptions(new Command('up').description('run the server'))
    .addHelpText(
      'after',
      '\nExamples:\n  penstock up\n  penstock up --port 0 --tls-port 0 --ssh-port 0 --data ./data\n  PENSTOCK_DATABASE_URL=postgres://… penstock up --role api',
    )
    .action((settings: Settings) => serve(settings));
}

export function workerCommand(): Command {
  return addServerOptions(new Command('worker').description('run builds and other work for a server that uses the same database'))
    .addHelpText('after', '\nExample:\n  PENSTOCK_DATABASE_URL=postgres://… PENSTOCK_MASTER_KEY=… penstock worker')
    .action((settings: Settings) => serve({ port: '0', tlsPort: '0', sshPort: '0', ...settings, role: 'worker' }));
}

async function serve(settings: Settings): Promise<void> {
  const stopped = stopSignal();
  const penstock = await start(settings);
  const { endpoints } = penstock.config;
  process.stdout.write(
    `Penstock is ready: ${endpoints.http} ${endpoints.https} ${endpoints.ssh} (pid ${process.pid}, data in ${penstock.config.dataDir})\n`,
  );
  await stopped;
  await stop(penstock);
  // Everything is given back. Whatever still hangs on to this process (a stuck socket, a child's pipe) does not keep it.
  setTimeout(() => process.exit(), EXIT_MS).unref();
}

export async function start(settings: Settings): Promise<Penstock> {
  const { config, ports } = readConfig(settings, process.env);
  const running = findRunning(config.dataDir);
  const taken = running ? [running.endpoint, running.tlsEndpoint, running.sshEndpoint].map((url) => url && portOf(url)) : [];
  if (running && [ports.http, ports.https, ports.ssh].some((port) => taken.includes(port))) {
    throw new ConfigError(
      `Penstock runs on ${config.dataDir} already: ${running.endpoint} (pid ${running.pid}). "penstock env" tells how to use it; ` +
        'a second one beside it needs ports of its own (--port, --tls-port, --ssh-port; 0 takes a free one).',
    );
  }
  // Loaded only here: the other commands need nothing of the server, and are there at once without it.
  const { startPenstock } = await import('../start.ts');
  const penstock = await startPenstock(config, ports, process.env);
  recordRunning(penstock);
  recording = setInterval(() => recordRunning(penstock), RECORD_MS).unref();
  return penstock;
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}

export async function stop(penstock: Penstock): Promise<void> {
  clearInterval(recording);
  forgetRunning(penstock.config.dataDir);
  await penstock.stop();
}

/** Resolves at the first TERM or INT; the second ends the process at once, for whoever is in a hurry. */
export function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (asked) process.exit(130);
        asked = true;
        resolve();
      });
    }
  });
}
