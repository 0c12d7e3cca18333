/** Where clients reach this installation: by `PENSTOCK_PUBLIC_URL` when there is a name in front of its processes, else as this one listens. */
import type { Config } from './config.ts';

/** Git over SSH is expected under the same name, at the port where the processes have it. */
export function publicEndpoints({ publicUrl, endpoints }: Pick<Config, 'publicUrl' | 'endpoints'>): {
  http: string;
  ssh: string | undefined;
} {
  if (publicUrl === undefined) return endpoints;
  const { hostname } = new URL(publicUrl);
  return { http: publicUrl, ssh: endpoints.ssh && `ssh://${hostname}:${new URL(endpoints.ssh).port}` };
}
