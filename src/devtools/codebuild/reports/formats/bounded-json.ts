/**
 * JSON of at most so many values. `JSON.parse` cannot be stopped, neither by the signal of a build that ends nor by the heap limit of the thread it runs
 * on: what would take it gigabytes must not get there. The text is looked through first, which costs little beside the parsing.
 */
import { MalformedReport } from './xml-reader.ts';

const MAX_DEPTH = 200;
/** Lists and objects; each takes about a hundred bytes. */
const MAX_COLLECTIONS = 1_000_000;
const MAX_MEMBERS = 2_000_000;
/** Values in all: a list of numbers takes about ten bytes for each. */
const MAX_VALUES = 10_000_000;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Throws MalformedReport. */
export function parseBoundedJson(text: string): unknown {
  checkSize(text);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new MalformedReport((error as Error).message);
  }
}

function checkSize(text: string): void {
  let depth = 0;
  let collections = 0;
  let members = 0;
  let values = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = endOfString(text, at + 1);
        break;
      case 0x5b: // [
      case 0x7b: // {
        depth++;
        collections++;
        if (depth > MAX_DEPTH) throw new MalformedReport(`values are nested more than ${MAX_DEPTH} deep`);
        break;
      case 0x5d: // ]
      case 0x7d: // }
        depth--;
        break;
      case 0x3a: // :
        members++;
        break;
      case 0x2c: // ,
        values++;
        break;
    }
  }
  if (collections > MAX_COLLECTIONS || members > MAX_MEMBERS || values > MAX_VALUES) {
    throw new MalformedReport(`it has more than ${MAX_COLLECTIONS} lists and objects, ${MAX_MEMBERS} members or ${MAX_VALUES} values`);
  }
}

/** Of its closing quote; the text's end when it has none. */
function endOfString(text: string, from: number): number {
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === BACKSLASH) at++;
    else if (code === QUOTE) return at;
  }
  return text.length;
}
