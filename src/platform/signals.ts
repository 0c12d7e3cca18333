/** Wake-ups between processes, carried by PostgreSQL's NOTIFY. Hints only: whoever waits looks at the rows again. */
import { EventEmitter } from 'node:events';
import type { Signals } from './platform.ts';

export const CHANNEL = 'penstock';

export class SignalHub implements Signals {
  readonly #topics = new EventEmitter().setMaxListeners(0);

  /** A notification as PostgreSQL delivered it. */
  receive(payload: string): void {
    const cut = payload.indexOf('\n');
    const topic = cut < 0 ? payload : payload.slice(0, cut);
    this.#topics.emit(topic, cut < 0 ? '' : payload.slice(cut + 1));
  }

  /** After a gap in listening anything may have happened: everybody looks again. */
  wakeAll(): void {
    for (const topic of this.#topics.eventNames()) this.#topics.emit(topic, '');
  }

  on(topic: string, listener: (payload: string) => void): () => void {
    this.#topics.on(topic, listener);
    return () => this.#topics.off(topic, listener);
  }

  wait(topic: string, timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const finish = (woken: boolean): void => {
        clearTimeout(timer);
        stop();
        signal?.removeEventListener('abort', giveUp);
        resolve(woken);
      };
      const giveUp = (): void => finish(false);
      const timer = setTimeout(giveUp, timeoutMs);
      const stop = this.on(topic, () => finish(true));
      if (signal?.aborted) giveUp();
      else signal?.addEventListener('abort', giveUp, { once: true });
    });
  }
}

/** The text of a notification; PostgreSQL takes up to 7,999 bytes. */
export function notification(topic: string, payload: string | undefined): string {
  return payload ? `${topic}\n${payload}` : topic;
}
