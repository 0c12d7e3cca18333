/** Hides secrets in a stream of text, also those that are split over writes. Exact matches only, as in CodeBuild. */
const MASK = '***';
/** CodeBuild hides access key ids wherever they show. */
const ACCESS_KEY_ID = /\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g;
/** Shorter values would blot out half the log and protect nothing. */
const SHORTEST = 3;

export class Masker {
  #secrets: string[] = [];
  /** Any of them: one search for all, however many there are and however often they show. */
  #pattern: RegExp | undefined;
  #held = '';

  add(secret: string): void {
    if (secret.length < SHORTEST || this.#secrets.includes(secret)) return;
    // Longest first, so that a secret which contains another is hidden whole.
    this.#secrets = [...this.#secrets, secret].sort((a, b) => b.length - a.length);
    this.#pattern = new RegExp(this.#secrets.map(RegExp.escape).join('|'), 'g');
  }

  /** What may be shown of all text so far; the rest is held until it is clear that no secret begins there. */
  write(text: string): string {
    const all = this.#held + text;
    let clear = '';
    let at = 0;
    let hold = all.length - this.#longestBeginning(all);
    for (let found = this.#search(all, at); found && found.start < hold; found = this.#search(all, at)) {
      clear += all.slice(at, found.start) + MASK;
      at = found.end;
      // The secret reached into what seemed to begin another.
      if (at > hold) hold = all.length - this.#longestBeginning(all.slice(at));
    }
    this.#held = all.slice(hold);
    return clear + all.slice(at, hold);
  }

  /** The held rest: the beginning of a secret that came no further. Another one may be in it. */
  flush(): string {
    const rest = this.#held;
    this.#held = '';
    return this.#pattern ? rest.replace(this.#pattern, MASK) : rest;
  }

  /** The leftmost secret, and of several there the longest. */
  #search(text: string, from: number): { start: number; end: number } | undefined {
    if (!this.#pattern) return undefined;
    this.#pattern.lastIndex = from;
    const found = this.#pattern.exec(text);
    return found ? { start: found.index, end: found.index + found[0].length } : undefined;
  }

  /** How much of the end could be the beginning of a secret. */
  #longestBeginning(text: string): number {
    let longest = 0;
    for (const secret of this.#secrets) {
      const first = secret.charAt(0);
      const latest = text.length - longest;
      let at = text.indexOf(first, Math.max(0, text.length - secret.length + 1));
      while (at >= 0 && at < latest && !secret.startsWith(text.slice(at))) at = text.indexOf(first, at + 1);
      if (at >= 0 && at < latest) longest = text.length - at;
    }
    return longest;
  }
}

export function maskAccessKeys(line: string): string {
  return line.replace(ACCESS_KEY_ID, MASK);
}
