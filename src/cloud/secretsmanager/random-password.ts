/** GetRandomPassword. */
import { randomInt } from 'node:crypto';
import { operation } from '../../platform/service.ts';
import { invalidParameter } from './errors.ts';

const DEFAULT_LENGTH = 32;
const LOWER = 'abcdefghijklmnopqrstuvwxyz';
const NUMBERS = '0123456789';
const PUNCTUATION = '!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~';

export const getRandomPassword = operation('secretsmanager', 'GetRandomPassword', {
  authorize: () => '*',
  async handle(_, input) {
    const { PasswordLength = DEFAULT_LENGTH, ExcludeCharacters = '', RequireEachIncludedType = true } = input;
    const kinds = [
      input.ExcludeLowercase ? '' : LOWER,
      input.ExcludeUppercase ? '' : LOWER.toUpperCase(),
      input.ExcludeNumbers ? '' : NUMBERS,
      input.ExcludePunctuation ? '' : PUNCTUATION,
      input.IncludeSpace ? ' ' : '',
    ];
    const left = kinds.map((kind) => [...kind].filter((char) => !ExcludeCharacters.includes(char))).filter((kind) => kind.length > 0);
    if (left.length === 0) throw invalidParameter('No characters are left to make a password of.');
    if (RequireEachIncludedType && PasswordLength < left.length) {
      throw invalidParameter('Password length must be at least the number of included character types.');
    }
    const all = left.flat();
    const first = RequireEachIncludedType ? left.map(pick) : [];
    const rest = Array.from({ length: PasswordLength - first.length }, () => pick(all));
    return { RandomPassword: shuffled([...first, ...rest]).join('') };
  },
});

function pick(chars: string[]): string {
  return chars[randomInt(chars.length)]!;
}

function shuffled(chars: string[]): string[] {
  for (let index = chars.length - 1; index > 0; index--) {
    const other = randomInt(index + 1);
    [chars[index], chars[other]] = [chars[other]!, chars[index]!];
  }
  return chars;
}
