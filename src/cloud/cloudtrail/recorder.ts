/** Where the gateway tells what was asked: into the journal at once, into the database soon. */
import path from 'node:path';
import type { Platform } from '../../platform/platform.ts';
import { factLine, type LineParts } from './journal/facts.ts';
import { Journal } from './journal/journal.ts';
import { self } from './journal/segment.ts';
import { dataTypes } from './selectors.ts';
import { Shipper } from './shipper.ts';
import './tables.ts';

export interface Recorder {
  /** When it resolves, the fact survives the end of this process. */
  note(fact: LineParts): Promise<void>;
  /** Whether some trail of the account wants data events of this `resources.type`. */
  wantsData(account: string, type: string): boolean;
  /** Stores what is in the journal, as far as time allows. */
  stop(): Promise<void>;
}

/** Signalled when a trail was changed. */
export const TRAILS_CHANGED = 'cloudtrail.trails';
/** A net only, for a signal that was lost with its connection. */
const REFRESH_MS = 30_000;

const shippers = new WeakMap<object, Shipper>();

export function openRecorder(platform: Platform): Recorder {
  const { config, processes, log } = platform;
  const journal = new Journal(path.join(config.dataDir, 'cloudtrail'), () => self(processes), log);
  const shipper = new Shipper(platform, journal);
  shippers.set(config, shipper);
  // Others may take what this process wrote under its former id for left behind.
  const unsubscribe = processes.onLost(() => journal.rotate());
  void shipper.takeOver();
  const wanted = followWanted(platform);
  return {
    note: (fact) => journal.append(factLine(fact)),
    wantsData: wanted.has,
    async stop() {
      unsubscribe();
      wanted.stop();
      await shipper.stop();
    },
  };
}

/** Stores what this process has recorded so far, so that whoever asks right after a call finds it; gives up after `timeoutMs`. */
export async function storeRecorded(platform: Pick<Platform, 'config'>, timeoutMs: number): Promise<void> {
  await shippers.get(platform.config)?.flush(timeoutMs);
}

/** What data events trails ask for, kept in memory: it is asked at each call. Until it is known, all of them may be wanted. */
function followWanted(platform: Platform): { has(account: string, type: string): boolean; stop(): void } {
  let known: Set<string> | undefined;
  const refresh = async (): Promise<void> => {
    try {
      const trails = await platform.read
        .selectFrom('cloudtrail.trails')
        .select(['account', 'selectors'])
        .where('logging', '=', true)
        .where('selectors', 'is not', null)
        .execute();
      known = new Set(trails.flatMap(({ account, selectors }) => dataTypes(selectors).map((type) => `${account} ${type}`)));
    } catch (error) {
      platform.log.warn({ error: (error as Error).message }, 'the trails could not be read; tried again soon');
    }
  };
  void refresh();
  const unsubscribe = platform.signals.on(TRAILS_CHANGED, () => void refresh());
  const timer = setInterval(() => void refresh(), REFRESH_MS).unref();
  return {
    has: (account, type) => known === undefined || (known.size > 0 && known.has(`${account} ${type}`)),
    stop() {
      unsubscribe();
      clearInterval(timer);
    },
  };
}
