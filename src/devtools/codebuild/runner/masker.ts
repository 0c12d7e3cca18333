/** Hides secrets in a stream of text, also those that are split over writes. Exact matches only, as in CodeBuild. */
const MASK = '***';
/** CodeBuild hides access key ids wherever they show. */
const ACCESS_KEY_ID = /\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g;
/** Shorter values would blot out half the log and protect nothing. */
const SHORTEST = 3;

export class Masker {
  #secrets: string[] = [];
  #held = '';

  add(secret: string): void {
    if (secret.length < SHORTEST || this.#secrets.includes(secret)) return;
    // Longest first, so that a secret which contains another is hidden whole.
    this.#secrets = [...this.#secrets, secret].sort((a, b) => b.length - a.length);
  }

  /** What may be shown of all text so far; the rest is held until it is clear that no secret begins there. */
  write(text: string): string {
    let rest = this.#held + text;
    let clear = '';
    for (;;) {
      const hold = rest.length - this.#longestBeginning(rest);
      const found = this.#firstSecret(rest);
      if (!found || found.start >= hold) {
        this.#held = rest.slice(hold);
        return clear + rest.slice(0, hold);
      }
      clear += rest.slice(0, found.start) + MASK;
      rest = rest.slice(found.start + found.length);
    }
  }

  /** The held rest: a beginning that never became a secret. */
  flush(): string {
    const rest = this.#held;
    this.#held = '';
    return rest;
  }

  /** The leftmost secret, and of several there the longest. */
  #firstSecret(text: string): { start: number; length: number } | undefined {
    let first: { start: number; length: number } | undefined;
    for (const secret of this.#secrets) {
      const start = text.indexOf(secret);
      if (start >= 0 && (!first || start < first.start)) first = { start, length: secret.length };
    }
    return first;
  }

  /** How much of the end could be the beginning of a secret. */
  #longestBeginning(text: string): number {
    let longest = 0;
    for (const secret of this.#secrets) {
      for (let length = Math.min(secret.length - 1, text.length); length > longest; length -= 1) {
        if (text.endsWith(secret.slice(0, length))) longest = length;
      }
    }
    return longest;
  }
}

export function maskAccessKeys(line: string): string {
  return line.replace(ACCESS_KEY_ID, MASK);
}
