/** Starts the bare stack of bare-process.ts on the database of a Penstock that runs. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface BareStack extends AsyncDisposable {
  endpoint: string;
}

export async function startBareStack(socketDir: string): Promise<BareStack> {
  const child = spawn(process.execPath, [fileURLToPath(new URL('./bare-process.ts', import.meta.url)), socketDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [port] = await once(createInterface(child.stdout), 'line');
  return {
    endpoint: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      child.kill();
      await once(child, 'exit');
    },
  };
}
