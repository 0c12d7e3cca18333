/** What the details of this service's events have in common. */
import type { Principal } from '../../platform/principal.ts';

/** `Wed Nov 06 19:02:14 UTC 2019`: how these events write a date. */
export function javaDate(time: Date): string {
  const [day, date, month, year, clock] = time.toUTCString().replace(',', '').split(' ');
  return `${day} ${month} ${date} ${clock} UTC ${year}`;
}

/** Who the caller is called in real life, when session tags tell it: "Using tags to provide identity information in CodeCommit". */
export function callerTags(principal: Principal): Record<string, string> {
  const tags = ('session' in principal ? principal.session?.tags : undefined) ?? {};
  const { displayName, emailAddress } = tags;
  return { ...(displayName ? { displayName } : {}), ...(emailAddress ? { emailAddress } : {}) };
}
