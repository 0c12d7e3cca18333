/** Where each statement of a policy stands in its text: line and column from 1, the end after the last character. */
import { isMap, isSeq, LineCounter, parseDocument } from 'yaml';

export interface Span {
  StartPosition: { Line: number; Column: number };
  EndPosition: { Line: number; Column: number };
}

/** JSON is YAML, and the YAML library tells where it found what. Of a text that is no policy: nothing. */
export function statementSpans(text: string): Span[] {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, schema: 'json', uniqueKeys: false });
  const root = document.contents;
  const statements = isMap(root) ? root.get('Statement', true) : undefined;
  const nodes = isSeq(statements) ? statements.items : [statements];
  return nodes.flatMap((node) => {
    const range = (node as { range?: [number, number, number] } | undefined)?.range;
    if (!range) return [];
    const [start, end] = [lineCounter.linePos(range[0]), lineCounter.linePos(range[1])];
    return [
      {
        StartPosition: { Line: start.line, Column: start.col },
        EndPosition: { Line: end.line, Column: end.col },
      },
    ];
  });
}
