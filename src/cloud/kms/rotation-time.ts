/** When a key's material is replaced by itself. */

const DAY_MS = 86_400_000;

export function nextRotation(from: Date, days: number): Date {
  return new Date(from.getTime() + days * DAY_MS);
}
