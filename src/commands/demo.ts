/** `penstock demo`: from nothing to a push that became a running application. */
import { Command } from 'commander';
import { addServerOptions } from './up.ts';

export function demoCommand(): Command {
  return addServerOptions(new Command('demo').description('see a push become a running application')).action(() => {
    throw new Error('The demo is not there yet.');
  });
}
