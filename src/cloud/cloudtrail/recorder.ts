/** Where the gateway tells what was asked: into the journal at once, into the database soon. */
import path from 'node:path';
import type { Platform } from '../../platform/platform.ts';
import { factLine, type LineParts } from './journal/facts.ts';
import { Journal } from './journal/journal.ts';
import { self } from './journal/segment.ts';
import { Shipper } from './shipper.ts';

export interface Recorder {
  /** When it resolves, the fact survives the end of this process. */
  note(fact: LineParts): Promise<void>;
  /** Whether some trail of the account wants data events of this `resources.type`. */
  wantsData(account: string, type: string): boolean;
  /** Stores what is in the journal, as far as time allows. */
  stop(): Promise<void>;
}

const shippers = new WeakMap<object, Shipper>();

export function openRecorder(platform: Platform): Recorder {
  const { config, processes, log } = platform;
  const journal = new Journal(path.join(config.dataDir, 'cloudtrail'), () => self(processes), log);
  const shipper = new Shipper(platform, journal);
  shippers.set(config, shipper);
  // Others may take what this process wrote under its former id for left behind.
  const unsubscribe = processes.onLost(() => journal.rotate());
  void shipper.takeOver();
  return {
    note: (fact) => journal.append(factLine(fact)),
    wantsData: () => false,
    async stop() {
      unsubscribe();
      await shipper.stop();
    },
  };
}

/** Stores what this process has recorded so far, so that whoever asks right after a call finds it; gives up after `timeoutMs`. */
export async function storeRecorded(platform: Pick<Platform, 'config'>, timeoutMs: number): Promise<void> {
  await shippers.get(platform.config)?.flush(timeoutMs);
}
