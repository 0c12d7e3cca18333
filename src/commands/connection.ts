/** `penstock connection complete`: what is done in AWS's console to bring a connection from PENDING to AVAILABLE. */
import { text } from 'node:stream/consumers';
import { Command } from 'commander';
import { ConfigError, readConfig } from '../platform/config.ts';

export function connectionCommand(): Command {
  const complete = new Command('complete')
    .description('give a connection the token by which it reaches its git provider')
    .argument('<arn>', 'its ARN, as create-connection told it')
    .requiredOption('--token-stdin', 'read the token from standard input, so that no command line shows it')
    .option('--data <dir>', 'the data directory of the server (PENSTOCK_DATA)')
    .addHelpText('after', '\nExample:\n  penstock connection complete arn:aws:codeconnections:…:connection/… --token-stdin <token.txt')
    .action((arn: string, { data }: { data?: string }) => completeOne(arn, data));
  return new Command('connection').description('manage connections to git providers').addCommand(complete);
}

async function completeOne(arn: string, data: string | undefined): Promise<void> {
  if (process.stdin.isTTY) process.stderr.write('The token, then the end of input (Ctrl-D):\n');
  const token = (await text(process.stdin)).trim();
  if (token === '') throw new ConfigError('There is no token on standard input.');
  // A process of its own beside the server, if one runs: they share the database, and neither disturbs the other.
  const { config, ports } = readConfig({ data, port: '0', tlsPort: '0', sshPort: '0', role: 'api' }, process.env);
  const { startPenstock } = await import('../start.ts');
  const { completeConnection } = await import('../devtools/codeconnections/connections.ts');
  const penstock = await startPenstock(config, ports, process.env);
  try {
    await completeConnection(penstock.platform, arn, token);
    process.stdout.write(`${arn} is available.\n`);
  } finally {
    await penstock.stop();
  }
}
