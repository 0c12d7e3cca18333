/** When access keys and roles were last used, written down at most once a minute each. A lost entry harms nobody, so nothing waits for it. */
import type { Platform } from '../../platform/platform.ts';
import type { Principal } from '../../platform/principal.ts';

const INTERVAL_MS = 60_000;
const MAX_REMEMBERED = 10_000;

export class UsageRecorder {
  readonly #platform: Platform;
  readonly #written = new Map<string, number>();

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  note(principal: Principal, service: string, region: string): void {
    if (principal.type !== 'User' && principal.type !== 'AssumedRole') return;
    const subject = principal.type === 'AssumedRole' ? principal.roleArn : principal.accessKeyId;
    if (subject === undefined) return;
    const now = this.#platform.now();
    if (now.getTime() - (this.#written.get(subject) ?? 0) < INTERVAL_MS) return;
    if (this.#written.size >= MAX_REMEMBERED) this.#written.clear();
    this.#written.set(subject, now.getTime());
    this.#write(principal, subject, service, region, now).catch((error) =>
      this.#platform.log.debug({ error }, 'the last use of a credential was not recorded'),
    );
  }

  async #write(principal: Principal, subject: string, service: string, region: string, now: Date): Promise<void> {
    await this.#platform.transaction(async ({ sql }) => {
      if (principal.type === 'AssumedRole') {
        const used = { last_used_at: now, last_used_region: region };
        await sql.updateTable('iam.entities').set(used).where('arn', '=', subject).where('kind', '=', 'role').execute();
      } else {
        const used = { last_used_at: now, last_used_service: service, last_used_region: region };
        await sql.updateTable('iam.access_keys').set(used).where('id', '=', subject).execute();
      }
    });
  }
}
