/** Metric math as text to a tree (user guide, "Metric math syntax and functions"). Throws MathError for what is none. */

export class MathError extends Error {}

export type Expression =
  | { kind: 'number'; value: number }
  | { kind: 'text'; value: string }
  /** The id of another query, or a word that a function takes, such as REPEAT. */
  | { kind: 'name'; name: string }
  | { kind: 'list'; items: Expression[] }
  | { kind: 'negative'; of: Expression }
  | { kind: 'operation'; operator: string; left: Expression; right: Expression }
  | { kind: 'call'; name: string; args: Expression[] };

/** Binding from weak to strong. */
const OPERATORS = [['||', 'OR'], ['&&', 'AND'], ['==', '!=', '<=', '>=', '<', '>'], ['+', '-'], ['*', '/'], ['^']];
const MAX_DEPTH = 100;
const TOKEN =
  /\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|([A-Za-z_]\w*)|(["'])((?:\\.|(?!\3)[^\\])*)\3|(\|\||&&|==|!=|<=|>=|[-+*/^<>(),[\]]))/y;

interface Token {
  kind: 'number' | 'name' | 'text' | 'sign' | 'end';
  text: string;
}

function tokensOf(source: string): Token[] {
  const tokens: Token[] = [];
  const text = source.trimEnd();
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (!match) throw new MathError(`it cannot be read from '${text.slice(at, at + 20).trim()}' on`);
    const [, number, name, quote, quoted, sign] = match;
    if (number !== undefined) tokens.push({ kind: 'number', text: number });
    else if (name !== undefined) tokens.push({ kind: 'name', text: name });
    else if (quote !== undefined) tokens.push({ kind: 'text', text: quoted!.replace(/\\(.)/g, '$1') });
    else tokens.push({ kind: 'sign', text: sign! });
  }
  return [...tokens, { kind: 'end', text: '' }];
}

export function parseExpression(source: string): Expression {
  return new Parser(tokensOf(source)).parse();
}

class Parser {
  readonly #tokens: Token[];
  #at = 0;
  #depth = 0;

  constructor(tokens: Token[]) {
    this.#tokens = tokens;
  }

  parse(): Expression {
    const expression = this.#binary(0);
    if (this.#token.kind !== 'end') throw new MathError(`'${this.#token.text}' is not expected where it is`);
    return expression;
  }

  get #token(): Token {
    return this.#tokens[this.#at]!;
  }

  #take(sign: string): boolean {
    if (this.#token.kind !== 'sign' || this.#token.text !== sign) return false;
    this.#at += 1;
    return true;
  }

  #expect(sign: string): void {
    if (!this.#take(sign))
      throw new MathError(`'${sign}' is expected ${this.#token.kind === 'end' ? 'at the end' : `before '${this.#token.text}'`}`);
  }

  #operator(level: number): string | undefined {
    const { kind, text } = this.#token;
    if ((kind !== 'sign' && kind !== 'name') || !OPERATORS[level]!.includes(text)) return undefined;
    this.#at += 1;
    return { OR: '||', AND: '&&' }[text] ?? text;
  }

  #binary(level: number): Expression {
    if (level === OPERATORS.length) return this.#unary();
    let left = this.#binary(level + 1);
    for (let operator = this.#operator(level); operator; operator = this.#operator(level)) {
      left = { kind: 'operation', operator, left, right: this.#binary(level + 1) };
    }
    return left;
  }

  #unary(): Expression {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw new MathError('it is nested too deeply');
    const expression = this.#take('-') ? ({ kind: 'negative', of: this.#unary() } as const) : this.#primary();
    this.#depth -= 1;
    return expression;
  }

  #primary(): Expression {
    const { kind, text } = this.#token;
    if (this.#take('(')) {
      const inner = this.#binary(0);
      this.#expect(')');
      return inner;
    }
    if (this.#take('[')) return { kind: 'list', items: this.#items(']') };
    if (kind === 'end') throw new MathError('it ends too early');
    this.#at += 1;
    if (kind === 'number') return { kind, value: Number(text) };
    if (kind === 'text') return { kind, value: text };
    if (kind !== 'name') throw new MathError(`'${text}' is not expected where it is`);
    return this.#take('(') ? { kind: 'call', name: text, args: this.#items(')') } : { kind, name: text };
  }

  #items(end: string): Expression[] {
    const items: Expression[] = [];
    if (this.#take(end)) return items;
    do items.push(this.#binary(0));
    while (this.#take(','));
    this.#expect(end);
    return items;
  }
}

/** The ids that an expression speaks of. */
export function namesIn(expression: Expression): string[] {
  switch (expression.kind) {
    case 'name':
      return [expression.name];
    case 'list':
      return expression.items.flatMap(namesIn);
    case 'call':
      return expression.args.flatMap(namesIn);
    case 'negative':
      return namesIn(expression.of);
    case 'operation':
      return [...namesIn(expression.left), ...namesIn(expression.right)];
    default:
      return [];
  }
}
