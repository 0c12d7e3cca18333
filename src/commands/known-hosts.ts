/** `penstock known-hosts`: by which keys clients know the SSH server. */
import { Command } from 'commander';
import { readConfig } from '../platform/config.ts';
import { findRunning, type RunningServer } from './running.ts';

export function knownHostsCommand(): Command {
  return new Command('known-hosts')
    .description("print the SSH server's host keys, as lines for ~/.ssh/known_hosts")
    .option('--data <dir>', 'the data directory of the server (PENSTOCK_DATA)')
    .option('--fingerprints', 'their fingerprints instead, as ssh shows them')
    .addHelpText('after', '\nExamples:\n  penstock known-hosts >> ~/.ssh/known_hosts\n  penstock known-hosts --fingerprints')
    .action(async ({ data, fingerprints }: { data?: string; fingerprints?: boolean }) => {
      const { config } = readConfig({ data }, process.env);
      const running = findRunning(config.dataDir);
      if (!running)
        throw new Error(`No server runs on ${config.dataDir}. Start one with "penstock up", or name its directory with --data.`);
      const { hostKeyFingerprint } = await import('../gateway/doors/ssh-host-keys.ts');
      const lines = fingerprints
        ? running.sshHostKeys.map((key) => `${hostKeyFingerprint(key)} ${key.split(' ')[0]}`)
        : running.sshHostKeys.map((key) => `${hostsOf(running)} ${key}`);
      process.stdout.write(`${lines.join('\n')}\n`);
    });
}

/** As OpenSSH looks the server up: the port stands with every name unless it is 22. */
function hostsOf(running: RunningServer): string {
  const { hostname, port } = new URL(running.sshEndpoint!.replace('ssh:', 'http:'));
  const name = hostname.replace(/^\[|\]$/g, '');
  const names = name === '127.0.0.1' ? [name, 'localhost'] : [name];
  return names.map((each) => (port === '22' ? each : `[${each}]:${port || '80'}`)).join(',');
}
