/** `penstock account add`: another AWS account in the same installation. */
import { Command } from 'commander';
import { ConfigError, readConfig } from '../platform/config.ts';

const UNIQUE_VIOLATION = '23505';

export function accountCommand(): Command {
  const add = new Command('add')
    .description('make another account and print the access key of its administrator')
    .argument('<id>', 'its number, 12 digits')
    .option('--data <dir>', 'the data directory of the server (PENSTOCK_DATA)')
    .addHelpText('after', '\nExample:\n  penstock account add 111122223333')
    .action((id: string, { data }: { data?: string }) => addAccount(id, data));
  return new Command('account').description('manage the accounts of this installation').addCommand(add);
}

async function addAccount(id: string, data: string | undefined): Promise<void> {
  if (!/^\d{12}$/.test(id)) throw new ConfigError(`An account has 12 digits, "${id}" has not.`);
  // A process of its own beside the server, if one runs: they share the database, and neither disturbs the other.
  const { config, ports } = readConfig({ data, port: '0', tlsPort: '0', sshPort: '0', role: 'api' }, process.env);
  const { startPenstock } = await import('../start.ts');
  const penstock = await startPenstock(config, ports, process.env);
  try {
    const { accessKeyId, secretAccessKey } = await penstock.addAccount(id);
    process.stdout.write(`export AWS_ACCESS_KEY_ID='${accessKeyId}'\nexport AWS_SECRET_ACCESS_KEY='${secretAccessKey}'\n`);
  } catch (error) {
    if ((error as { code?: string }).code === UNIQUE_VIOLATION) throw new ConfigError(`The account ${id} exists already.`);
    throw error;
  } finally {
    await penstock.stop();
  }
}
