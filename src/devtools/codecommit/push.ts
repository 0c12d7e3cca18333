/** What a push by git may do, and how it becomes a change of the repository: the rules that the git doors hand to the git store. */
import type { PushRules } from '../../git/receive.ts';
import type { Platform } from '../../platform/platform.ts';
import { announcePack } from './packs.ts';
import { changeReferences } from './references.ts';
import type { Repository } from './repository.ts';

export interface Pusher {
  /** ARN, for the events. */
  arn: string;
  /** Is `codecommit:GitPush` allowed on this reference (in full)? */
  mayPush(reference: string): Promise<boolean>;
}

export function pushRules(platform: Platform, repository: Repository, pusher: Pusher): PushRules {
  return {
    async authorize(names) {
      const denied = new Map<string, string>();
      for (const name of names) {
        if (!(await pusher.mayPush(name))) denied.set(name, 'you are not authorized to push to this reference');
      }
      return denied;
    },
    announce: () => announcePack(platform, repository),
    commit: (changes, { atomic, pack }) =>
      changeReferences(platform, repository, changes, { caller: pusher.arn, atomic, pack, install: pack?.install }),
  };
}
