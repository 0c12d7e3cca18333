/** The ten formats of a buildspec's `file-format`, and how a file is read by one of them. */
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { TextDecoder } from 'node:util';
import { parseBoundedJson } from './bounded-json.ts';
import { CloverReader } from './clover.ts';
import { CoberturaReader } from './cobertura.ts';
import { readCucumber } from './cucumber.ts';
import { JacocoReader } from './jacoco.ts';
import { JUnitReader } from './junit.ts';
import { nunit2Reader, nunit3Reader } from './nunit.ts';
import { type Findings, OtherFormat, type ReportType } from './result.ts';
import { readSimpleCov } from './simplecov.ts';
import { TestNgReader } from './testng.ts';
import { TrxReader } from './trx.ts';
import { MalformedReport, type XmlElement, type XmlHandler, XmlReader } from './xml-reader.ts';

type Format = { type: ReportType } & (
  | { syntax: 'xml'; roots: string[]; reader: (findings: Findings) => XmlHandler }
  | { syntax: 'json'; read: (document: unknown, findings: Findings) => void }
);

export const FORMATS = {
  JUNITXML: { type: 'TEST', syntax: 'xml', roots: ['testsuites', 'testsuite'], reader: (findings) => new JUnitReader(findings) },
  CUCUMBERJSON: { type: 'TEST', syntax: 'json', read: readCucumber },
  NUNITXML: { type: 'TEST', syntax: 'xml', roots: ['test-results'], reader: nunit2Reader },
  NUNIT3XML: { type: 'TEST', syntax: 'xml', roots: ['test-run'], reader: nunit3Reader },
  TESTNGXML: { type: 'TEST', syntax: 'xml', roots: ['testng-results'], reader: (findings) => new TestNgReader(findings) },
  VISUALSTUDIOTRX: { type: 'TEST', syntax: 'xml', roots: ['TestRun'], reader: (findings) => new TrxReader(findings) },
  CLOVERXML: { type: 'CODE_COVERAGE', syntax: 'xml', roots: ['coverage'], reader: (findings) => new CloverReader(findings) },
  COBERTURAXML: { type: 'CODE_COVERAGE', syntax: 'xml', roots: ['coverage'], reader: (findings) => new CoberturaReader(findings) },
  JACOCOXML: { type: 'CODE_COVERAGE', syntax: 'xml', roots: ['report'], reader: (findings) => new JacocoReader(findings) },
  SIMPLECOV: { type: 'CODE_COVERAGE', syntax: 'json', read: readSimpleCov },
} satisfies Record<string, Format>;

export type FormatName = keyof typeof FORMATS;
export const FORMAT_NAMES = Object.keys(FORMATS) as FormatName[];

const PIECE_BYTES = 256 * 1024;
const SNIFFED_BYTES = 256;

/** Throws OtherFormat before anything is found, or MalformedReport. */
export async function readReportFile(name: FormatName, file: string, findings: Findings): Promise<void> {
  const format: Format = FORMATS[name];
  if (format.syntax === 'json') format.read(await readJson(file), findings);
  else await readXml(file, new RootCheck(format.roots, format.reader(findings)));
}

async function readJson(file: string): Promise<unknown> {
  const text = (await readFile(file, 'utf8')).replace(/^\uFEFF/, '');
  if (!/^\s*[[{]/.test(text)) throw new OtherFormat('it is not JSON');
  return parseBoundedJson(text);
}

async function readXml(file: string, handler: XmlHandler): Promise<void> {
  const reader = new XmlReader(handler);
  let decoder: TextDecoder | undefined;
  for await (const chunk of createReadStream(file, { highWaterMark: PIECE_BYTES }) as AsyncIterable<Buffer>) {
    decoder ??= decoderFor(chunk);
    reader.write(decoder.decode(chunk, { stream: true }));
  }
  if (!decoder) throw new OtherFormat('it is empty');
  reader.write(decoder.decode());
  reader.end();
}

function decoderFor(start: Buffer): TextDecoder {
  const encoding = encodingOf(start);
  if (!/^\s*</.test(new TextDecoder(encoding).decode(start.subarray(0, SNIFFED_BYTES)))) throw new OtherFormat('it is not XML');
  return new TextDecoder(encoding);
}

/** By the byte order mark, else as the declaration says. */
function encodingOf(start: Buffer): string {
  if (start[0] === 0xff && start[1] === 0xfe) return 'utf-16le';
  if (start[0] === 0xfe && start[1] === 0xff) return 'utf-16be';
  const declared =
    /^\s*<\?xml[^>]{0,100}?encoding=["']([\w.:-]{1,40})["']/.exec(start.subarray(0, SNIFFED_BYTES).toString('latin1'))?.[1] ?? 'utf-8';
  // Bytes without a mark that could be read so far are not of two bytes each, whatever they say.
  if (/^utf-?16/i.test(declared)) return 'utf-8';
  try {
    return new TextDecoder(declared).encoding;
  } catch {
    throw new MalformedReport(`the encoding ${declared} is not known`);
  }
}

class RootCheck implements XmlHandler {
  readonly #roots: string[];
  readonly #inner: XmlHandler;

  constructor(roots: string[], inner: XmlHandler) {
    this.#roots = roots;
    this.#inner = inner;
  }

  open(element: XmlElement): void {
    if (!element.parent && !this.#roots.includes(element.name)) {
      throw new OtherFormat(`its root element is ${element.name.slice(0, 100)}, not ${this.#roots.join(' or ')}`);
    }
    this.#inner.open(element);
  }

  close(element: XmlElement, text: string): void {
    this.#inner.close(element, text);
  }
}
